"""Signatures among processes of one deployment: who shares the secret may say who it is.

A token holds its expiry, a nonce and an HMAC over both, the purpose and what is signed. It proves
nothing after its expiry; who must not accept it twice remembers nonces that long.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final, NamedTuple

__all__ = ["CALL_TTL", "Signed", "call_parts", "sign", "verify"]

CALL_TTL: Final = 60.0
"""Seconds for which the signature of a call between actors holds."""

_MAX_TOKEN: Final = 256


class Signed(NamedTuple):
    """What a valid token says.

    Attributes:
        nonce: as given to ``sign``.
        expires_at: Unix seconds.
    """

    nonce: str
    expires_at: float


def sign(
    secret: bytes, purpose: str, parts: Sequence[str | bytes], *, nonce: str, expires_at: float
) -> str:
    """Return a token for ``parts``.

    Args:
        secret: shared by all processes.
        purpose: what the token is for; one for another purpose is not accepted.
        parts: what is signed.
        nonce: text without dots, different in each token where repeats matter.
        expires_at: Unix seconds, rounded up to milliseconds.
    """
    head = f"{int(expires_at * 1000) + 1}.{nonce}"
    return f"{head}.{_mac(secret, purpose, head, parts)}"


def verify(
    secret: bytes,
    token: str,
    purpose: str,
    parts: Sequence[str | bytes],
    *,
    now: float,
    max_ttl: float,
) -> Signed | None:
    """Return what a token says, or None if it is not valid for ``parts`` now.

    Args:
        secret: shared by all processes.
        token: as ``sign`` made it, or anything else.
        purpose: as given to ``sign``.
        parts: as given to ``sign``.
        now: Unix seconds.
        max_ttl: how far in the future an expiry may be.
    """
    if len(token) > _MAX_TOKEN or not token.isascii():
        return None
    head, _, mac = token.rpartition(".")
    expiry, _, nonce = head.partition(".")
    if not expiry.isdigit() or not nonce:
        return None
    # Compared first, so that what follows speaks of something that was really signed.
    if not hmac.compare_digest(mac, _mac(secret, purpose, head, parts)):
        return None
    expires_at = int(expiry) / 1000
    if not now < expires_at <= now + max_ttl + 1:
        return None
    return Signed(nonce, expires_at)


def call_parts(method: str, target: str, call_key: str, chain: str) -> tuple[str, ...]:
    """Return what is signed of a call between actors over HTTP.

    The purpose is ``"call"``; the token travels in ``x-rivetless-signature``.

    Args:
        method: of the request.
        target: path and query as sent, from ``/gateway/`` on.
        call_key: ``x-rivetless-call-key``, or nothing.
        chain: ``x-rivetless-chain`` as sent, or nothing.
    """
    return (method, target, call_key, chain)


def _mac(secret: bytes, purpose: str, head: str, parts: Sequence[str | bytes]) -> str:
    state = hmac.new(secret, digestmod=hashlib.sha256)
    for part in (purpose, head, *parts):
        data = part.encode(errors="surrogateescape") if isinstance(part, str) else part
        # With its length in front no two lists of parts give the same bytes.
        state.update(len(data).to_bytes(4, "big"))
        state.update(data)
    return state.hexdigest()
