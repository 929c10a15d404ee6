"""What is measured, and what is to be reached against RivetKit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["MEASURES", "Measure"]

Tool = Literal["load", "wrk", "startup", "memory"]


@dataclass(frozen=True)
class Measure:
    """One row of the table.

    Attributes:
        title: what the row says.
        tool: what takes the measure: the load generator with the official client, or ``wrk``, on
            servers that have been running; or, on one just started, the load generator.
        name: the measure's name there; for ``wrk`` the number of actors.
        field: which figure of its result counts; after ``_``, of every process the sum.
        unit: of the figure.
        better: whether less or more of it is better.
        target: what ours may be at most, or has to be at least, as a multiple of RivetKit's.
        target_full: the same with ``synchronous=FULL``, where that is another.
        saturates: reaching the limit of the client, which runs in one thread, is as good.
        ceiling: whether the client is measured alone too, against a server that does nothing.
        times: how often it is taken in one process of the client; the last one counts, by which the
            client and the servers are as warm as they get.
    """

    title: str
    tool: Tool
    name: str
    field: str
    unit: str
    better: Literal["less", "more"]
    target: float | None = None
    target_full: float | None = None
    saturates: bool = False
    ceiling: bool = False
    times: int = 1

    @property
    def fresh(self) -> bool:
        """Whether the server is started for it, and no other runs meanwhile."""
        return self.tool in ("startup", "memory")

    def goal(self, *, full: bool) -> float | None:
        """Return the target of one of our columns."""
        return self.target_full if full and self.target_full is not None else self.target

    def reached(self, ratio: float, goal: float) -> bool:
        """Say whether a ratio of ours to RivetKit's reaches a target."""
        return ratio <= goal if self.better == "less" else ratio >= goal


MEASURES: Final = (
    Measure(
        "start-up to first action", "startup", "startup", "first_action_ms", "ms", "less", 1 / 2
    ),
    Measure("memory, idle", "memory", "memory", "_idle_mib", "MiB", "less", 1 / 4),
    Measure("memory, 1,000 actors", "memory", "memory", "_after_mib", "MiB", "less", 1 / 4),
    Measure("memory per actor", "memory", "memory", "_kib_per_actor", "KiB", "less", 1 / 4),
    Measure(
        "action, sequential, p50", "load", "latency", "p50_ms", "ms", "less", 1 / 2, 1, ceiling=True
    ),
    Measure("action without state, p50", "load", "latency_echo", "p50_ms", "ms", "less"),
    Measure("actions by wrk, 1 actor", "wrk", "1", "ops_per_s", "/s", "more", 5),
    Measure("actions by wrk, 100 actors", "wrk", "100", "ops_per_s", "/s", "more", 5),
    Measure(
        "actions, 1 actor", "load", "throughput_1", "ops_per_s", "/s", "more", 1.6, saturates=True
    ),
    Measure(
        "actions, 100 actors",
        "load",
        "throughput_100",
        "ops_per_s",
        "/s",
        "more",
        1.6,
        saturates=True,
    ),
    Measure("connection: action, p50", "load", "conn_latency", "p50_ms", "ms", "less", 1 / 2),
    Measure("connections: 1 actor", "load", "conn_throughput_1", "ops_per_s", "/s", "more", 2),
    Measure("connections: 100 actors", "load", "conn_throughput_100", "ops_per_s", "/s", "more", 2),
    Measure("create, p50", "load", "create", "p50_ms", "ms", "less", 1 / 10),
    Measure("create, 32 callers", "load", "create_32", "actors_per_s", "/s", "more"),
    Measure("fan-out to 50, p50", "load", "fanout_50", "p50_ms", "ms", "less"),
    Measure("fan-out to 200, p50", "load", "fanout_200", "p50_ms", "ms", "less", 1 / 2),
    Measure("wake, p50", "load", "wake", "p50_ms", "ms", "less", 1 / 5, ceiling=True),
    Measure("wake while going to sleep, p50", "load", "wake_now", "p50_ms", "ms", "less"),
    Measure(
        "queue: sent and consumed",
        "load",
        "queue",
        "messages_per_s",
        "/s",
        "more",
        5,
        ceiling=True,
        times=2,
    ),
    Measure("queue: filled by its actor", "load", "queue", "filled_per_s", "/s", "more", 20),
    Measure(
        "timer: late at the server, p50", "load", "schedule", "late_p50_ms", "ms", "less", 1 / 3
    ),
    Measure("timer: late at the client, p50", "load", "schedule", "p50_ms", "ms", "less", 1 / 3),
    Measure("workflow steps, one", "load", "workflow", "steps_per_s", "/s", "more", 5),
    Measure("workflow steps, twenty", "load", "workflow_20", "steps_per_s", "/s", "more", 3),
)
"""In the order in which they are taken; those of one name are figures of one measure."""
