"""From samples to the table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.measures import MEASURES, Measure
from benchmarks.tools import Result

__all__ = ["OVERHEAD_LIMIT", "Report"]

OVERHEAD_LIMIT: Final = 0.5
"""What the framework may cost over the store alone, in milliseconds."""

_SATURATED: Final = 0.9
"""Share of one core at which the load generator counts as the limit."""


@dataclass
class Report:
    """Everything that was measured in one run.

    Attributes:
        systems: whose server each column is, by the column's name, in order.
        samples: results by measure's title and column; one for each round.
        overhead: figures of the measure in process, by store setting.
        failures: what could not be measured.
        alone: results of the client against a server that does nothing, by measure's title.
    """

    systems: Mapping[str, str]
    samples: dict[str, dict[str, list[Result]]] = field(default_factory=dict)
    overhead: dict[str, dict[str, float]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    alone: dict[str, list[Result]] = field(default_factory=dict)

    def add_alone(self, measure: Measure, result: Result) -> None:
        """Keep one sample of the client alone."""
        self.alone.setdefault(measure.title, []).append(result)

    def add(self, measure: Measure, column: str, result: Result) -> None:
        """Keep one sample."""
        self.samples.setdefault(measure.title, {}).setdefault(column, []).append(result)

    def median(self, measure: Measure, column: str) -> float | None:
        """Return the median over the rounds."""
        results = self.samples.get(measure.title, {}).get(column, [])
        return statistics.median(_figure(measure, r) for r in results) if results else None

    def best(self, measure: Measure) -> float | None:
        """Return RivetKit's figure, of the better of its variants."""
        columns = (name for name, system in self.systems.items() if system == "rivetkit")
        found = [m for m in (self.median(measure, column) for column in columns) if m is not None]
        if not found:
            return None
        return min(found) if measure.better == "less" else max(found)

    def verdicts(self) -> list[dict[str, Any]]:
        """Return what each of our columns reached, measure by measure."""
        found: list[dict[str, Any]] = []
        ours = [name for name, system in self.systems.items() if system == "rivetless"]
        for measure in MEASURES:
            best = self.best(measure)
            for column in ours:
                figure = self.median(measure, column)
                if figure is None or not best:
                    continue
                ratio = figure / best
                goal = measure.goal(full=column.endswith("FULL"))
                busy = self._client_share(measure, column)
                reached = goal is None or measure.reached(ratio, goal)
                found.append(
                    {
                        "measure": measure.title,
                        "column": column,
                        "ratio": round(ratio, 3),
                        "target": goal,
                        "reached": reached or (measure.saturates and busy >= _SATURATED),
                        "client_cores": round(busy, 2),
                    }
                )
        return found

    def text(self) -> str:
        """Write all of it, in Markdown."""
        parts = [self.table(), self.cpu_table(), self.notes()]
        return "\n\n".join(part for part in parts if part) + "\n"

    def table(self) -> str:
        """Write the table, in Markdown."""
        verdicts = {(v["measure"], v["column"]): v for v in self.verdicts()}
        ours = [name for name, system in self.systems.items() if system == "rivetless"]
        rows = [
            ["measure", *self.systems, *(f"ratio {name.split()[-1]}" for name in ours), "target"]
        ]
        for measure in MEASURES:
            if measure.title not in self.samples:
                continue
            medians = {column: self.median(measure, column) for column in self.systems}
            row = [f"{measure.title} ({measure.unit})"]
            row += ["-" if m is None else _round(m) for m in medians.values()]
            row += [_verdict(verdicts.get((measure.title, column))) for column in ours]
            rows.append([*row, _target(measure)])
        return _markdown(rows)

    def cpu_table(self) -> str:
        """Write what one operation costs the server, which other programs do not blur as much."""
        rows = [["CPU of the server per operation (ms)", *self.systems]]
        for measure in MEASURES:
            results = self.samples.get(measure.title, {})
            if not any("operations" in result for sample in results.values() for result in sample):
                continue
            costs = [self._cost(results.get(column, [])) for column in self.systems]
            rows.append([measure.title.removesuffix(", p50"), *costs])
        return _markdown(rows) if len(rows) > 1 else ""

    def notes(self) -> str:
        """Write what the table does not hold."""
        lines = [
            f"Framework over the store alone, p50: {figures['p50_ms']:.3f} ms with {setting} "
            f"({figures['whole_ms']:.3f} - {figures['store_ms']:.3f}); "
            f"{'reached' if figures['p50_ms'] <= OVERHEAD_LIMIT else 'MISSED'}: "
            f"at most {OVERHEAD_LIMIT} ms"
            for setting, figures in self.overhead.items()
        ]
        for measure in MEASURES:
            if measure.title in self.alone:
                lines.append(self._ceiling(measure))
            if measure.saturates and measure.title in self.samples:
                shares = ", ".join(
                    f"{column} {self._client_share(measure, column):.2f}"
                    for column in self.samples[measure.title]
                )
                lines.append(f"CPU of the client, in cores, {measure.title}: {shares}")
        seen: list[object] = []
        for title, columns in self.samples.items():
            for column, results in columns.items():
                # Figures of one measure share it.
                errors = [r["errors"] for r in results if r.get("errors")]
                if errors and errors not in seen:
                    lines.append(f"ERRORS: {title}, {column}: {errors}")
                seen.append(errors)
        lines += [f"FAILED: {failure}" for failure in self.failures]
        return "\n".join(f"- {line}" for line in lines)

    def _ceiling(self, measure: Measure) -> str:
        """Write how far the client lets any server come."""
        figure = statistics.median(_figure(measure, r) for r in self.alone[measure.title])
        text = f"The client alone, {measure.title}: {_round(figure)} {measure.unit}"
        best = self.best(measure)
        if not best:
            return text
        sign = "≥" if measure.better == "less" else "≤"
        return f"{text}: whatever the server, the ratio is {sign} {figure / best:.2f}"

    @property
    def reached(self) -> bool:
        """Whether every target was reached and nothing failed."""
        over = any(figures["p50_ms"] > OVERHEAD_LIMIT for figures in self.overhead.values())
        return not over and not self.failures and all(v["reached"] for v in self.verdicts())

    def _cost(self, results: Sequence[Result]) -> str:
        costs = [
            sum(
                float(value)
                for name, value in result.items()
                if name.endswith("_cpu_ms") and name != "client_cpu_ms"
            )
            / result["operations"]
            for result in results
        ]
        return _round(statistics.median(costs)) if costs else "-"

    def _client_share(self, measure: Measure, column: str) -> float:
        shares = [
            result["client_cpu_ms"] / result["wall_ms"]
            for result in self.samples.get(measure.title, {}).get(column, [])
            if "client_cpu_ms" in result
        ]
        return statistics.median(shares) if shares else 0.0


def _figure(measure: Measure, result: Result) -> float:
    if not measure.field.startswith("_"):
        return float(result[measure.field])
    # Of a server of several processes: engine_after_mib, node_after_mib.
    return sum(float(value) for name, value in result.items() if name.endswith(measure.field))


def _round(figure: float) -> str:
    return (
        f"{figure:,.0f}" if figure >= 100 else f"{figure:.1f}" if figure >= 10 else f"{figure:.2f}"
    )


def _verdict(verdict: Mapping[str, Any] | None) -> str:
    if verdict is None:
        return "-"
    text = f"{verdict['ratio']:.2f}"
    if verdict["target"] is None:
        return text
    return f"{text} ✓" if verdict["reached"] else f"{text} ✗"


def _target(measure: Measure) -> str:
    if measure.target is None:
        return ""
    sign = "≤" if measure.better == "less" else "≥"
    text = f"{sign} {measure.target:.3g}"
    if measure.target_full is not None:
        text += f", FULL {sign} {measure.target_full:.3g}"
    return f"{text}, or the client's core" if measure.saturates else text


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
