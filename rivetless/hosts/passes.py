"""Who may use a private listener: signed requests, each of them once."""

from __future__ import annotations

import hashlib
import hmac
from itertools import count
from typing import Final

from rivetless.clock import Clock
from rivetless.protocol.signatures import sign, verify

__all__ = ["BODY_HEADER", "TTL", "Passes"]

TTL: Final = 15.0
"""Seconds for which a request may be on its way; also how far clocks may be apart."""

BODY_HEADER: Final = "x-rivetless-body"
"""The hash of the body, so that a request can be refused before its body is read."""

_WINDOW: Final = 1024
_SCHEME: Final = "Rivetless "


class Passes:
    """Signs requests to other hosts, and checks theirs.

    A request names its sender and carries a number that grows with each. The numbers seen of a
    sender are remembered in a window, and senders for as long as a signature can hold.

    Args:
        secret: shared by all processes.
        host_id: of this process.
        clock: tells what has expired.

    Attributes:
        host_id: as given; it may become another.
    """

    def __init__(self, secret: bytes, host_id: str, clock: Clock) -> None:
        self._secret = secret
        self.host_id = host_id
        self._clock = clock
        self._numbers = count(1)
        self._senders: dict[str, _Window] = {}

    def sign(self, audience: str, method: str, path: str, body: bytes) -> list[tuple[str, str]]:
        """Return the headers that let a request in.

        Args:
            audience: id of the host it goes to; no other host takes it.
            method: of the request.
            path: of the request.
            body: of the request.
        """
        digest = hashlib.sha256(body).hexdigest()
        token = sign(
            self._secret,
            "connections",
            (audience, method, path, digest),
            nonce=f"{self.host_id}-{next(self._numbers)}",
            expires_at=self._clock.now() + TTL,
        )
        return [("authorization", _SCHEME + token), (BODY_HEADER, digest)]

    def admits(self, authorization: str, digest: str, method: str, path: str) -> bool:
        """Tell whether a request to this host may come in: signed, in time, for the first time.

        Its body is still to be compared with ``digest`` (``matches``).
        """
        if not authorization.startswith(_SCHEME):
            return False
        now = self._clock.now()
        signed = verify(
            self._secret,
            authorization[len(_SCHEME) :],
            "connections",
            (self.host_id, method, path, digest),
            now=now,
            max_ttl=2 * TTL,
        )
        if signed is None:
            return False
        sender, _, number = signed.nonce.rpartition("-")
        if not sender or not number.isdigit():
            return False
        window = self._senders.get(sender)
        if window is None:
            self._forget(now)
            window = self._senders[sender] = _Window()
        window.until = max(window.until, signed.expires_at)
        return window.take(int(number))

    def _forget(self, now: float) -> None:
        """Forget senders whose every signature has expired by now."""
        for sender in [name for name, window in self._senders.items() if window.until < now]:
            del self._senders[sender]


def matches(body: bytes, digest: str) -> bool:
    """Tell whether a body is the one that was signed."""
    return hmac.compare_digest(hashlib.sha256(body).hexdigest(), digest)


class _Window:
    """The numbers seen of one sender: the highest, and which of those just below it."""

    __slots__ = ("highest", "seen", "until")

    def __init__(self) -> None:
        self.highest = 0
        self.seen = 0
        self.until = 0.0

    def take(self, number: int) -> bool:
        """Note a number; false if it was seen before, or is too old to tell."""
        if number > self.highest:
            shift = number - self.highest
            self.seen = (self.seen << shift | 1) & (1 << _WINDOW) - 1 if shift < _WINDOW else 1
            self.highest = number
            return True
        bit = 1 << (self.highest - number)
        if self.highest - number >= _WINDOW or self.seen & bit:
            return False
        self.seen |= bit
        return True
