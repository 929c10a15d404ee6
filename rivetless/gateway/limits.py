"""How much a client may send, and how often."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from rivetless.clock import Clock
from rivetless.errors import ActorError
from rivetless.frozen import frozen

__all__ = ["LOOPBACK", "Limits", "RateLimited", "RateLimiter", "is_loopback"]

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "::ffff:127.0.0.1", "localhost"})
"""How servers write the addresses of this machine."""

_WINDOW: Final = 60.0
_MAX_PAIRS: Final = 50_000


@frozen(kw_only=True)
class Limits:
    """What the gateway accepts. Sizes are bytes; 0 switches a rate off.

    Attributes:
        body: body of a raw request and of its answer.
        requests_per_minute: HTTP requests and upgrades of one client address to one actor.
        in_flight: HTTP requests of one client address to one actor at the same time.
        limit_loopback: whether the two above hold for clients on this machine. They do not by
            default: a developer, a test, and a proxy that hides its clients' addresses all come
            from there.
        frames: frames of one socket that are worked on at the same time; further ones wait unread.
        backlog: what may wait for a client that reads too slowly; then its socket is closed.
    """

    body: int = 20 * 1024 * 1024
    requests_per_minute: int = 1200
    in_flight: int = 32
    limit_loopback: bool = False
    frames: int = 64
    backlog: int = 16 * 1024 * 1024


def is_loopback(host: str | None) -> bool:
    """Tell whether an address, as a server writes it, is this machine's own."""
    return host is not None and (host in LOOPBACK or host.startswith("127."))


class RateLimited(ActorError):
    """``guard.rate_limit``: a client asks too much.

    Attributes:
        retry_after: seconds to wait.
    """

    def __init__(self, what: str, limit: int, retry_after: int) -> None:
        super().__init__(
            "guard",
            "rate_limit",
            "Too many requests. Try again later.",
            {"limit": limit, "reason": what, "retryAfter": retry_after},
        )
        self.retry_after = retry_after


class RateLimiter:
    """Counts the requests of each client address to each actor, in windows of a minute.

    Memory is bounded: counts are dropped with their window, and once there are too many pairs of
    address and actor in one, new pairs are counted by address alone.
    """

    __slots__ = ("_clock", "_counts", "_in_flight", "_limits", "_window_end")

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._counts: dict[Hashable, int] = {}
        self._in_flight: dict[Hashable, int] = {}
        self._window_end = 0.0

    def applies(self, client: str | None) -> bool:
        """Tell whether requests from this address are counted at all."""
        if client is None or not (self._limits.requests_per_minute or self._limits.in_flight):
            return False
        return self._limits.limit_loopback or not is_loopback(client)

    def count(self, client: str, actor: Hashable) -> None:
        """Count a request.

        Raises:
            RateLimited: there were too many.
        """
        limit = self._limits.requests_per_minute
        if not limit:
            return
        now = self._clock.now()
        if now >= self._window_end:
            self._counts = {}
            self._window_end = now + _WINDOW
        pair: Hashable = (client, actor)
        counted = self._counts.get(pair)
        if counted is None and len(self._counts) >= _MAX_PAIRS:
            pair = client
            counted = self._counts.get(pair)
        counted = (counted or 0) + 1
        self._counts[pair] = counted
        if counted > limit:
            wait = max(1, round(self._window_end - now))
            raise RateLimited("requests per minute", limit, wait)

    def enter(self, client: str, actor: Hashable) -> None:
        """Count a request that begins; ``leave`` must follow.

        Raises:
            RateLimited: there are too many; then ``leave`` must not follow.
        """
        self.count(client, actor)
        pair = (client, actor)
        running = self._in_flight.get(pair, 0)
        limit = self._limits.in_flight
        if limit and running >= limit:
            raise RateLimited("requests in flight", limit, 1)
        self._in_flight[pair] = running + 1

    def leave(self, client: str, actor: Hashable) -> None:
        """Say that a request which entered has ended."""
        pair = (client, actor)
        running = self._in_flight[pair] - 1
        if running:
            self._in_flight[pair] = running
        else:
            del self._in_flight[pair]
