"""Which pages may read what we answer: the headers that browsers ask for."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

__all__ = ["Cors", "Headers"]

Headers = tuple[tuple[bytes, bytes], ...]
"""Headers as ASGI wants them."""

_EXPOSED: Final = (b"access-control-expose-headers", b"*")
_CREDENTIALS: Final = (b"access-control-allow-credentials", b"true")
_VARY: Final = (b"vary", b"Origin")
_METHODS: Final = (b"access-control-allow-methods", b"GET, POST, PUT, DELETE, OPTIONS, PATCH")
_MAX_AGE: Final = (b"access-control-max-age", b"86400")


class Cors:
    """Makes the headers of cross-origin answers.

    The official client sends its management calls with credentials, so an answer has to name the
    very origin that asked; ``*`` is for those that name none.

    Args:
        origins: pages that may read answers, e.g. ``https://app.example.com``; None lets all.
    """

    def __init__(self, origins: Iterable[str] | None = None) -> None:
        self._allowed = (
            None
            if origins is None
            else frozenset(origin.rstrip("/").encode() for origin in origins)
        )
        # A handful of pages ask, again and again; the bound is against those that make origins up.
        self.headers = lru_cache(maxsize=256)(self._headers)

    def allows(self, origin: bytes) -> bool:
        """Tell whether a page may read what we answer it."""
        return self._allowed is None or origin in self._allowed

    def admits(self, origin: bytes, host: bytes | None) -> bool:
        """Tell whether a page may use the server at all, as one of its own host always may."""
        return self.allows(origin) or (host is not None and origin.partition(b"://")[2] == host)

    def _headers(self, origin: bytes | None) -> Headers:
        """Return the headers of an answer to a request with this ``Origin``, errors included."""
        if origin is None:
            if self._allowed is not None:
                return (_VARY,)
            return ((b"access-control-allow-origin", b"*"), _CREDENTIALS, _EXPOSED)
        if not self.allows(origin) or not _is_clean(origin):
            return (_VARY,)
        return ((b"access-control-allow-origin", origin), _CREDENTIALS, _EXPOSED, _VARY)

    def preflight(self, origin: bytes | None, requested: bytes | None) -> Headers:
        """Return the headers of the answer to ``OPTIONS``.

        Args:
            origin: the request's ``Origin``.
            requested: its ``Access-Control-Request-Headers``.
        """
        headers = self.headers(origin)
        if len(headers) == 1:
            return headers
        if not requested or not _is_clean(requested):
            requested = b"*"
        return (
            *headers,
            _METHODS,
            (b"access-control-allow-headers", requested),
            _MAX_AGE,
        )


def _is_clean(value: bytes) -> bool:
    """Tell whether what a client sent may be sent back in a header."""
    return value.isascii() and value.decode("ascii").isprintable()
