"""The load generator and ``wrk``: each call takes one measure of one server."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.measures import Measure
from benchmarks.servers import HERE, NODE_MODULES, Running, Server, act

__all__ = ["SETTLE", "Failed", "Result", "Settings", "load", "memory", "startup", "wrk"]

Result = dict[str, Any]

SETTLE: Final = 3.0
"""Seconds after which a server that has been started is idle."""

_CONNECTIONS: Final = 32

_FILLED: Final = 10_000
"""How many messages an actor sends itself, before scaling."""

_PATIENCE: Final = 60.0

_WARM_UPS: Final = {
    "latency": 200,
    "latency_echo": 200,
    "throughput_1": 300,
    "conn_latency": 200,
    "conn_throughput_1": 300,
    "create": 0,
    "create_32": 0,
}
"""How many calls the load generator makes beside those it times, before scaling."""


class Failed(Exception):
    """A measure could not be taken."""


@dataclass(frozen=True)
class Settings:
    """How long and how often.

    Attributes:
        shared: folder of the load generator and the baseline.
        seconds: length of each throughput window.
        scale: multiplies every count of calls.
        encoding: what the official client speaks.
    """

    shared: Path
    seconds: float
    scale: float
    encoding: str


def load(running: Running, measure: Measure, settings: Settings) -> Result:
    """Take a measure with the official client."""
    name = measure.name
    options = [f"--pids={running.pids}", f"--repeat={measure.times}"]
    alone = running.server.system == "ceiling"
    if alone:
        options.append("--no-lookup")
    result = _load(running.server, name, settings, *options)
    if name == "queue" and not alone:
        if not result["sum_ok"]:
            raise Failed(f"{running.server.name}: messages were lost or taken twice")
        if running.server.system == "rivetless":
            result["filled_per_s"] = _filled(running.server, settings)
        else:
            # The baseline's worker cannot fill its own queue: clients filling it is compared with.
            result["filled_per_s"] = result["messages_per_s"]
    if name in _WARM_UPS:
        result["operations"] = result["n"] + round(_WARM_UPS[name] * settings.scale)
    return result


def _filled(server: Server, settings: Settings) -> float:
    """Have an actor fill its own queue; return how many messages a second it sent and consumed."""
    key = f"fill,{time.monotonic_ns()}"
    count = max(1, round(_FILLED * settings.scale))
    act(server.url, key, "worker", "processed", ())
    begun = time.perf_counter()
    act(server.url, key, "worker", "fill", (count,))
    while act(server.url, key, "worker", "processed", ()) != count:
        if time.perf_counter() - begun > _PATIENCE:
            raise Failed(f"{server.name}: {count} messages were not consumed in {_PATIENCE:g} s")
        time.sleep(0.005)
    return count / (time.perf_counter() - begun)


def startup(server: Server, folder: Path, settings: Settings) -> Result:
    """Start the server on an empty folder, over and done with after its first action."""
    script = server.script(folder)
    return _load(
        server,
        "startup",
        settings,
        # It asks for metadata when it starts, before the server does, and again only half a second
        # and a second later: the wait would be all that is measured.
        "--no-lookup",
        f"--start=/bin/sh {script}",
        f"--after-start=rm -rf {script.parent / 'data'}",
    )


def memory(server: Server, folder: Path, settings: Settings) -> Result:
    """Weigh the server on an empty folder: after its first action, and with 1,000 actors awake."""
    running = server.start(folder)
    try:
        time.sleep(SETTLE)
        idle = {f"{name}_idle_mib": mib for name, mib in running.memory().items()}
        whole = dataclasses.replace(settings, scale=1.0)
        return _load(server, "memory_1000", whole, f"--pids={running.pids}") | idle
    finally:
        running.stop()


def _load(server: Server, measure: str, settings: Settings, *options: str) -> Result:
    command = [
        "node",
        str(settings.shared / "load.mjs"),
        f"--endpoint={server.url}",
        f"--only={measure}",
        f"--encoding={settings.encoding}",
        f"--seconds={settings.seconds}",
        f"--scale={settings.scale}",
        *options,
    ]
    lines = _run(command, {"BENCH_NODE_MODULES": str(NODE_MODULES)})
    result: Result = json.loads(lines[-1])
    # A figure is null when there was nothing to time.
    if result.get("measure") != measure or "error" in result or None in result.values():
        raise Failed(f"{server.name}, {measure}: {result.get('error', lines[-1])}")
    return result


def wrk(running: Running, actors: int, run: str, settings: Settings) -> Result:
    """Post JSON actions to ``actors`` actors over 32 HTTP connections, as fast as they go."""
    url = running.server.url
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: act(url, f"wrk,{run},{i}"), range(actors)))
    threads = ("wrk", "-t1", f"-c{_CONNECTIONS}", "--timeout=10s", "-s", str(HERE / "wrk.lua"))
    arguments = (url, "--", run, str(actors))
    _run([*threads, "-d1s", *arguments], {})
    before = running.cpu()
    lines = _run([*threads, f"-d{max(1, round(settings.seconds))}s", *arguments], {})
    result: Result = json.loads(lines[-1])
    spent = {f"{name}_cpu_ms": ms - before[name] for name, ms in running.cpu().items()}
    return result | spent | {"operations": result["n"]}


def _run(command: Sequence[str], env: dict[str, str]) -> list[str]:
    done = subprocess.run(
        command, env=os.environ | env, capture_output=True, text=True, timeout=600, check=False
    )
    lines = done.stdout.strip().splitlines()
    if not lines:
        raise Failed(f"{' '.join(command)}: {done.stderr.strip() or 'no output'}")
    return lines
