"""Who may do what concerns other people's actors: list them, destroy them, put them to sleep."""

from __future__ import annotations

import hmac
from typing import Final
from urllib.parse import urlsplit

from rivetless.errors import ActorError
from rivetless.gateway.asgi import Exchange
from rivetless.gateway.limits import is_loopback

__all__ = ["Access"]

_FORWARDED: Final = (b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via")
_HOW: Final = (
    "Authentication required. Send `Authorization: Bearer <token>` with the token that the server "
    "was given as RIVETLESS_ADMIN_TOKEN; a server without one takes such requests from its own "
    "machine only."
)


class Access:
    """Lets administrators through.

    With a token, whoever has it; without one, programs on this machine: not those that a proxy
    stands for, and not pages of other origins, whose requests come from a browser on this machine.

    Args:
        token: the administrators' token.
    """

    def __init__(self, token: str | None) -> None:
        self._token = token.encode() if token else None

    def check(self, exchange: Exchange) -> None:
        """Let a request pass or not.

        Raises:
            ActorError: ``api.unauthorized``.
        """
        if self._token is not None:
            scheme, _, given = exchange.headers.get(b"authorization", b"").partition(b" ")
            if scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), self._token):
                return
        elif _is_local(exchange):
            return
        raise ActorError("api", "unauthorized", _HOW)


def _is_local(exchange: Exchange) -> bool:
    if not is_loopback(exchange.client):
        return False
    if any(name in exchange.headers for name in _FORWARDED):
        return False
    origin = exchange.header(b"origin")
    if origin is None:
        return True
    try:
        return is_loopback(urlsplit(origin).hostname)
    except ValueError:
        return False
