"""Measure rivetless and RivetKit side by side; ``scripts/bench`` sets up and calls this."""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from time import sleep
from typing import Literal

from benchmarks.measures import MEASURES, Measure
from benchmarks.overhead import overhead
from benchmarks.report import Report
from benchmarks.servers import HERE, Ceiling, RivetKit, Rivetless, Running, Server
from benchmarks.tools import SETTLE, Failed, Result, Settings, load, memory, startup, wrk


def main() -> int:
    """Run the benchmarks; succeed if every target was reached."""
    options = _options()
    settings = Settings(
        shared=options.shared,
        seconds=options.seconds,
        scale=options.scale,
        encoding=options.encoding,
    )
    chosen = [m for m in MEASURES if not options.only or m.name in options.only]
    begun = datetime.now(UTC)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=HERE)))
        servers = _servers(options.shared, folder, options.port)
        report = Report({server.name: server.system for server in servers})
        for number in range(options.rounds):
            if number == 1:
                # It hardly varies, and RivetKit takes a minute for it.
                chosen = [measure for measure in chosen if measure.tool != "memory"]
            # Each round begins with another server, so that none is always first.
            order = [*servers[number % len(servers) :], *servers[: number % len(servers)]]
            _say(f"round {number + 1} of {options.rounds}")
            _round(order, chosen, settings, folder, report)
            _measure_alone(
                Ceiling(options.port + 40, options.shared), chosen, settings, folder, report
            )
        if not options.only or "overhead" in options.only:
            calls = max(200, round(2000 * options.scale))
            settings_of_store: tuple[Literal["normal", "full"], ...] = ("normal", "full")
            for synchronous in settings_of_store:
                report.overhead[synchronous.upper()] = overhead(calls, synchronous)
    sys.stdout.write(report.text())
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    path = results / f"{begun:%Y%m%dT%H%M%S}.json"
    path.write_text(json.dumps(_document(report, settings, options.rounds, begun), indent=1))
    _say(f"wrote {path.relative_to(HERE.parent)}")
    if options.save:
        (HERE / "latest.md").write_text(_summary(report, options.rounds, begun))
        _say("wrote benchmarks/latest.md")
    return 0 if report.reached else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    add = parser.add_argument
    names = sorted({measure.name for measure in MEASURES} | {"overhead"})
    add("--shared", type=Path, required=True, help="folder of load.mjs and rivetkit-baseline.mjs")
    add("--rounds", type=int, default=3, help="how often everything is measured (default: 3)")
    add("--seconds", type=float, default=5.0, help="length of throughput windows (default: 5)")
    add("--scale", type=float, default=0.5, help="multiplies counts of calls (default: 0.5)")
    add("--quick", action="store_true", help="one short round, to see that it works")
    add("--only", type=lambda text: text.split(","), help=f"some of: {', '.join(names)}")
    add("--encoding", choices=("bare", "cbor", "json"), default="bare", help="of the client")
    add("--port", type=int, default=26420, help="the first of the ports to use (default: 26420)")
    add("--save", action="store_true", help="write the summary that is committed, latest.md")
    options = parser.parse_args()
    options.shared = options.shared.resolve()
    if options.quick:
        options.rounds, options.seconds, options.scale = 1, 1.0, 0.1
    unknown = set(options.only or ()) - set(names)
    if unknown:
        parser.error(f"no measure is called {', '.join(sorted(unknown))}")
    return options


def _servers(shared: Path, folder: Path, port: int) -> list[Server]:
    servers: list[Server] = [RivetKit("RivetKit as it comes", port, shared, None)]
    library = _nodelay(folder)
    if library is not None:
        servers.append(RivetKit("RivetKit, Nagle off", port + 10, shared, library))
    servers.append(Rivetless("rivetless NORMAL", port + 20, shared, "normal"))
    servers.append(Rivetless("rivetless FULL", port + 30, shared, "full"))
    return servers


def _nodelay(folder: Path) -> Path | None:
    library = folder / "nodelay.so"
    command = ("cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(HERE / "nodelay.c"), "-ldl")
    try:
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        _say(f"RivetKit is measured as it comes only; Nagle off takes a C compiler: {error}")
        return None
    return library


def _round(
    servers: Sequence[Server],
    measures: Sequence[Measure],
    settings: Settings,
    folder: Path,
    report: Report,
) -> None:
    # Rows of one name are figures of one measure.
    groups = [list(rows) for _, rows in itertools.groupby(measures, lambda m: (m.tool, m.name))]
    for rows in groups:
        if rows[0].fresh:
            for server in servers:
                call = functools.partial(_measure_fresh, server, rows[0], settings, folder)
                _take(report, rows, server, call)
    others = [rows for rows in groups if not rows[0].fresh]
    if not others:
        return
    running: list[Running] = []
    try:
        for server in servers:
            running.append(server.start(folder / server.name.replace(" ", "-")))
        # The servers that are not measured idle beside the one that is.
        sleep(SETTLE)
        for rows in others:
            for one in running:
                call = functools.partial(_measure, one, rows[0], settings)
                _take(report, rows, one.server, call)
    finally:
        for one in running:
            one.stop()


def _take(
    report: Report, rows: Sequence[Measure], server: Server, call: Callable[[], Result]
) -> None:
    _say(f"{rows[0].title}: {server.name}")
    try:
        result = call()
    except (Failed, OSError) as error:
        report.failures.append(str(error))
        _say(f"  failed: {error}")
        return
    for measure in rows:
        report.add(measure, server.name, result)


def _measure_alone(
    ceiling: Ceiling,
    measures: Sequence[Measure],
    settings: Settings,
    folder: Path,
    report: Report,
) -> None:
    """Measure what the client can do against a server that does nothing."""
    wanted = [measure for measure in measures if measure.ceiling]
    if not wanted:
        return
    running = ceiling.start(folder / "ceiling")
    try:
        for measure in wanted:
            _say(f"{measure.title}: {ceiling.name}")
            report.add_alone(measure, load(running, measure, settings))
    except Failed as error:
        report.failures.append(str(error))
    finally:
        running.stop()


def _measure_fresh(server: Server, measure: Measure, settings: Settings, folder: Path) -> Result:
    if measure.tool == "startup":
        return startup(server, folder / "start", settings)
    return memory(server, folder / "memory", settings)


def _measure(running: Running, measure: Measure, settings: Settings) -> Result:
    if measure.tool == "wrk":
        return wrk(running, int(measure.name), f"{os.getpid()}", settings)
    return load(running, measure, settings)


def _document(report: Report, settings: Settings, rounds: int, begun: datetime) -> object:
    return {
        "begun": begun.isoformat(timespec="seconds"),
        "machine": _machine(),
        "rounds": rounds,
        "seconds": settings.seconds,
        "scale": settings.scale,
        "encoding": settings.encoding,
        "verdicts": report.verdicts(),
        "overhead": report.overhead,
        "failures": report.failures,
        "samples": report.samples,
        "alone": report.alone,
    }


def _machine() -> str:
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, Node.js {node.stdout.strip()}"
    )


def _summary(report: Report, rounds: int, begun: datetime) -> str:
    return (
        "# The latest run\n\n"
        f"`scripts/bench --save`, {begun:%Y-%m-%d}: medians of {rounds} rounds; {_machine()}. "
        "Ratios are ours to\nRivetKit's in the better of its columns. Absolute figures drift from "
        "machine to machine and from day to day; ratios do\nso much less.\n\n" + report.text()
    )


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
