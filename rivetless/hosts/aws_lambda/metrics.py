"""``Measures``: what one invocation did, written as one line of CloudWatch's embedded metrics.

CloudWatch turns the line into metrics by itself; nothing is called and nothing waits. Every pair of
function and kind of event is a metric of its own, and each costs by the month.
"""

from __future__ import annotations

import json
from typing import Any, Final

__all__ = ["NAMESPACE", "Measures"]

NAMESPACE: Final = "rivetless"

_MOST_VALUES: Final = 100
"""Values that one metric of one line may have."""

_UNITS: Final = {
    "Invocations": "Count",
    "Failures": "Count",
    "ColdStarts": "Count",
    "Messages": "Count",
    "Duration": "Milliseconds",
    "TurnDuration": "Milliseconds",
    "Conflicts": "Count",
    "StoreRequests": "Count",
    "ReadUnits": "Count",
    "WriteUnits": "Count",
}
_DIMENSIONS: Final = ["FunctionName", "EventKind"]


class Measures:
    """Counts during one invocation."""

    __slots__ = ("_counts", "_turns")

    def __init__(self) -> None:
        self._counts: dict[str, float] = {}
        self._turns: list[float] = []

    def count(self, name: str, amount: float = 1) -> None:
        """Add to a metric."""
        self._counts[name] = self._counts.get(name, 0) + amount

    def turn(self, seconds: float) -> None:
        """Note how long a command took."""
        if len(self._turns) < _MOST_VALUES:
            self._turns.append(round(seconds * 1000, 2))

    def line(self, *, function: str, kind: str, request_id: str, now: float) -> str:
        """Return all of it as one line.

        Args:
            function: name of the function.
            kind: of event.
            request_id: Lambda's, so that the line is found with the invocation's logs.
            now: Unix seconds.
        """
        values: dict[str, Any] = {
            name: round(value, 2) for name, value in self._counts.items() if value > 0
        }
        if self._turns:
            values["TurnDuration"] = self._turns
        metrics = [{"Name": name, "Unit": _UNITS[name]} for name in values]
        described = {"Namespace": NAMESPACE, "Dimensions": [_DIMENSIONS], "Metrics": metrics}
        return json.dumps(
            {
                "_aws": {"Timestamp": int(now * 1000), "CloudWatchMetrics": [described]},
                "FunctionName": function,
                "EventKind": kind,
                "aws_request_id": request_id,
                **values,
            },
            separators=(",", ":"),
        )
