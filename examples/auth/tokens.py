"""Signed tokens, as an identity provider would issue them. Use your JWT library instead."""

import base64
import hashlib
import hmac
import time
from typing import Literal

from pydantic import BaseModel, ValidationError

from rivetless import UserError

SECRET = b"shared with whoever issues the tokens"

Role = Literal["viewer", "editor"]


class User(BaseModel):
    name: str
    org: str
    role: Role


class Claims(User):
    expires_at: float


def issue(name: str, org: str, role: Role, *, valid_for: float = 3600) -> str:
    """Make a token."""
    claims = Claims(name=name, org=org, role=role, expires_at=time.time() + valid_for)
    body = base64.urlsafe_b64encode(claims.model_dump_json().encode()).decode()
    return f"{body}.{_signature(body)}"


def verify(token: str) -> User:
    """Return whose token it is.

    Raises:
        UserError: ``user.bad_token`` or ``user.token_expired``.
    """
    body, _, signature = token.partition(".")
    if not hmac.compare_digest(signature.encode(), _signature(body).encode()):
        raise UserError("The token is not one of ours.", code="bad_token")
    try:
        claims = Claims.model_validate_json(base64.urlsafe_b64decode(body))
    except (ValueError, ValidationError):
        raise UserError("The token cannot be read.", code="bad_token") from None
    if claims.expires_at < time.time():
        raise UserError(
            "The token has expired.", code="token_expired", metadata={"at": claims.expires_at}
        )
    return User(name=claims.name, org=claims.org, role=claims.role)


def _signature(body: str) -> str:
    return hmac.new(SECRET, body.encode(), hashlib.sha256).hexdigest()
