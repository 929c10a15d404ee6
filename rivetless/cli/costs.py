"""What a deployment costs: units of work times listed prices, and nothing else.

Pure: what ``rivetless deploy`` estimates and what the documentation's page of costs tells are the
same figures, from here. Units are what tests measure; the prices are those of us-east-1 on demand,
without free tiers, discounts and taxes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from rivetless.frozen import frozen

__all__ = [
    "IDLE_MONTH",
    "KEPT_CONNECTION",
    "LOGGED",
    "MILLION",
    "PRICES",
    "WARM_READ",
    "WARM_WRITE",
    "WAYS",
    "Functions",
    "Work",
    "cost",
    "kept_warm",
    "total",
    "ways",
]

MILLION: Final = 1_000_000

PRICES: Final[Mapping[str, float]] = {
    "write_units": 0.625,
    "read_units": 0.125,
    "invocations": 0.20,
    "http_api": 1.00,
    "cloudfront": 1.00,
    "cloudfront_functions": 0.10,
    "socket_messages": 1.00,
    "socket_minutes": 0.25,
    "queue_requests": 0.40,
    "ordered_queue_requests": 0.50,
    "schedules": 1.00,
}
"""Dollars for a million of each unit of ``Work``."""

_MINUTES: Final = 30 * 24 * 60
"""Of a month."""

_GIGABYTE_SECONDS: Final = {"arm64": 13.3334, "x86_64": 16.6667}
"""Dollars for a million gigabyte-seconds of Lambda."""

_KEPT_WARM: Final = {"arm64": 3.3334, "x86_64": 4.1667}
"""The same for environments that are kept warm, used or not."""

_LOGS: Final = 0.50
"""Dollars for a gigabyte of logs."""

_GROUPS: Final = {
    "write_units": "DynamoDB",
    "read_units": "DynamoDB",
    "invocations": "Lambda",
    "http_api": "HTTP API",
    "cloudfront": "CloudFront",
    "cloudfront_functions": "CloudFront",
    "socket_messages": "WebSocket API",
    "socket_minutes": "WebSocket API",
    "queue_requests": "SQS",
    "ordered_queue_requests": "SQS",
    "schedules": "Scheduler",
}


@frozen(kw_only=True)
class Functions:
    """The functions that do the work.

    Attributes:
        memory: MB.
        architecture: ``"arm64"`` or ``"x86_64"``.
    """

    memory: int = 512
    architecture: str = "arm64"


@frozen(kw_only=True)
class Work:
    """What one piece of work uses; what it does not use is 0.

    Attributes:
        write_units: of DynamoDB: one for each KB written; twice that in a transaction.
        read_units: of DynamoDB: one for each 4 KB read.
        invocations: of functions.
        milliseconds: how long the functions run, altogether.
        log_bytes: what they log.
        http_api: requests to the HTTP API.
        cloudfront: requests to CloudFront.
        cloudfront_functions: runs of CloudFront's function.
        socket_messages: messages of the WebSocket API, either way, for each 32 KB.
        socket_minutes: minutes that connections are open.
        queue_requests: to standard queues: sent, received, deleted.
        ordered_queue_requests: to FIFO queues.
        schedules: that Scheduler invoked.
    """

    write_units: float = 0.0
    read_units: float = 0.0
    invocations: float = 0.0
    milliseconds: float = 0.0
    log_bytes: float = 0.0
    http_api: float = 0.0
    cloudfront: float = 0.0
    cloudfront_functions: float = 0.0
    socket_messages: float = 0.0
    socket_minutes: float = 0.0
    queue_requests: float = 0.0
    ordered_queue_requests: float = 0.0
    schedules: float = 0.0


def cost(work: Work, functions: Functions, *, times: float = MILLION) -> dict[str, float]:
    """Return the dollars that doing some work so many times costs, by service."""
    parts: dict[str, float] = {}
    for unit, price in PRICES.items():
        used: float = getattr(work, unit)
        if used:
            group = _GROUPS[unit]
            parts[group] = parts.get(group, 0.0) + used * price * times / MILLION
    if work.milliseconds:
        seconds = functions.memory / 1024 * work.milliseconds / 1000
        price = _GIGABYTE_SECONDS[functions.architecture]
        parts["Lambda"] = parts.get("Lambda", 0.0) + seconds * price * times / MILLION
    if work.log_bytes:
        parts["Logs"] = work.log_bytes * _LOGS * times / 10**9
    return parts


def total(parts: Mapping[str, float]) -> float:
    """Return the sum of a cost's parts."""
    return sum(parts.values())


def kept_warm(functions: Functions, environments: int) -> float:
    """Return the dollars that keeping environments warm costs a month."""
    seconds = environments * functions.memory / 1024 * _MINUTES * 60
    return seconds * _KEPT_WARM[functions.architecture] / MILLION


# -- the work of a deployment --------------------------------------------------------------------

WARM_WRITE: Final = Work(write_units=1, invocations=1, milliseconds=15)
"""An action that changes state of up to about 300 bytes, of an actor in the function's memory."""

WARM_READ: Final = Work(read_units=1, invocations=1, milliseconds=10)
"""An action that only reads, of an actor in memory."""

COLD_WRITE: Final = Work(write_units=1, read_units=1, invocations=1, milliseconds=20)
"""The same change where the actor is not in memory."""

BY_HTTP: Final[Mapping[str, Work]] = {
    "change, warm, function URL": WARM_WRITE,
    "change, not in memory, function URL": COLD_WRITE,
    "read, warm, function URL": WARM_READ,
    "change, warm, HTTP API": replace(WARM_WRITE, http_api=1),
}

BY_CLOUDFRONT: Final[Mapping[str, Work]] = {
    "change, warm, CloudFront": replace(WARM_WRITE, cloudfront=1),
}

FRAME: Final = Work(
    write_units=1,
    read_units=1,
    invocations=1,
    milliseconds=25,
    socket_messages=2,
)
"""A change that a client asks for over a WebSocket: the message in, the answer out."""

ORDERED: Final[Mapping[str, Work]] = {
    # Sent, received, deleted: each by itself at worst, ten at a time at best.
    "change, WebSocket, ordered": replace(FRAME, ordered_queue_requests=3),
}

UNORDERED: Final[Mapping[str, Work]] = {"change, WebSocket, not ordered": FRAME}

TIMER: Final = Work(
    # Set by a transaction of the head and the timer's record, which the index follows, and taken
    # out again by another, with what it changes.
    write_units=10,
    read_units=3,
    invocations=1,
    milliseconds=25,
    queue_requests=3,
)
"""An action that is run later: what setting it adds to a call, and running it."""

WAKES: Final[Mapping[str, Work]] = {
    "timer within 15 minutes": TIMER,
    "timer later": replace(TIMER, schedules=1),
}

WAYS: Final[Mapping[str, Work]] = {
    **BY_HTTP,
    **BY_CLOUDFRONT,
    **ORDERED,
    **UNORDERED,
    **WAKES,
}
"""Ways an action comes to run, with the work of each."""


def ways(parameters: Mapping[str, str]) -> Mapping[str, Work]:
    """Return the ways that there are with some parameters of the template."""
    return {
        **BY_HTTP,
        **(BY_CLOUDFRONT if parameters.get("Edge") != "none" else {}),
        **(UNORDERED if parameters.get("OrderedFrames") == "false" else ORDERED),
        **WAKES,
    }


LOGGED: Final = Work(log_bytes=800)
"""What an invocation logs: a line of metrics of ours and three lines of Lambda's."""

KEPT_CONNECTION: Final = Work(socket_minutes=60)
"""A connection that is open for an hour."""

IDLE_MONTH: Final = Work(
    # The sweeper's 16 queries a minute, each eventually consistent and of nothing.
    read_units=_MINUTES * 8,
    invocations=_MINUTES,
    milliseconds=_MINUTES * 100,
    # Lambda's five pollers of each queue, each asking every 20 s.
    queue_requests=_MINUTES * 15,
    ordered_queue_requests=_MINUTES * 15,
)
"""A month in which nothing happens."""
