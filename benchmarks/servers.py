"""The servers that are compared, each with the commands that start it on an empty folder."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

__all__ = [
    "HERE",
    "NODE_MODULES",
    "Ceiling",
    "Command",
    "RivetKit",
    "Rivetless",
    "Running",
    "Server",
    "System",
    "act",
]

HERE: Final = Path(__file__).resolve().parent
NODE_MODULES: Final = HERE / "node_modules"

System = Literal["rivetkit", "rivetless", "ceiling"]

_PATIENCE: Final = 30.0

_UNWANTED: Final = frozenset({"RUST_BACKTRACE", "PYTHONDONTWRITEBYTECODE"})
"""The first multiplies the engine's CPU several times, the second ours at every start."""


@dataclass(frozen=True)
class Command:
    """One process of a server.

    Attributes:
        name: what measures call it.
        argv: program and arguments.
        env: what its environment has besides ours.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]

    def shell(self) -> str:
        """Write the command for a shell."""
        return shlex.join(("env", *(f"{k}={v}" for k, v in self.env.items()), *self.argv))


class Server:
    """A server that can be started.

    Args:
        name: its column.
        system: whose it is; the columns of one system are variants of one server.
        port: where it listens; the nine ports after it are its own too.
    """

    def __init__(self, name: str, system: System, port: int, shared: Path) -> None:
        self.name = name
        self.system = system
        self.port = port
        self.shared = shared

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return f"http://127.0.0.1:{self.port}"

    def commands(self, folder: Path) -> list[Command]:
        """Return what to start, all of it at once, with its data in ``folder``."""
        raise NotImplementedError

    def start(self, folder: Path) -> Running:
        """Start it on an empty folder and wait until it answers an action."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        running = Running(self, folder)
        try:
            running.wait()
        except BaseException:
            running.stop()
            raise
        return running

    def script(self, folder: Path) -> Path:
        """Write a shell script that starts it, for the load generator's measure of that."""
        folder.mkdir(parents=True, exist_ok=True)
        *before, last = (command.shell() for command in self.commands(folder / "data"))
        unwanted = " ".join(sorted(_UNWANTED))
        lines = [
            f"unset {unwanted}",
            f"mkdir -p {shlex.quote(str(folder / 'data'))}",
            f"cd {shlex.quote(str(folder))}",
        ]
        lines += [f"{command} &" for command in before]
        path = folder / "start.sh"
        path.write_text("\n".join([*lines, f"exec {last}", ""]))
        return path


class Rivetless(Server):
    """Ours, on SQLite."""

    def __init__(
        self, name: str, port: int, shared: Path, synchronous: Literal["full", "normal"]
    ) -> None:
        super().__init__(name, "rivetless", port, shared)
        self.synchronous = synchronous

    def commands(self, folder: Path) -> list[Command]:
        """Return the one process there is."""
        store = f"sqlite:{folder / 'actors.db'}"
        program = str(Path(sys.executable).with_name("rivetless"))
        command = (program, "serve", "benchmarks.actors:registry", "--port", str(self.port))
        options = ("--store", store, "--synchronous", self.synchronous, "--quiet")
        path = {"PYTHONPATH": str(HERE.parent)}
        return [Command("server", (*command, *options), path)]


class Ceiling(Server):
    """Nothing behind a socket: what is measured with it is the client alone."""

    def __init__(self, port: int, shared: Path) -> None:
        super().__init__("the client alone", "ceiling", port, shared)

    def commands(self, folder: Path) -> list[Command]:
        """Return the one process there is."""
        command = (sys.executable, "-m", "benchmarks.ceiling", "--port", str(self.port))
        return [Command("server", command, {"PYTHONPATH": str(HERE.parent)})]


class RivetKit(Server):
    """RivetKit in Node.js and its engine, which is started beside it: far faster than its own way.

    Args:
        name: its column.
        port: where the engine listens.
        shared: folder of the baseline.
        nodelay: library that turns Nagle's algorithm off, or None to run as it comes.
    """

    def __init__(self, name: str, port: int, shared: Path, nodelay: Path | None) -> None:
        super().__init__(name, "rivetkit", port, shared)
        self.nodelay = nodelay

    def commands(self, folder: Path) -> list[Command]:
        """Return the engine and the actors' server."""
        engine = {
            "RIVET__FILE_SYSTEM__PATH": str(folder / "engine"),
            "RIVET__RUNTIME__WORKER_CPU_MAX": "64000",
        }
        for offset, part in enumerate(("GUARD", "API_PEER", "METRICS")):
            engine[f"RIVET__{part}__HOST"] = "127.0.0.1"
            engine[f"RIVET__{part}__PORT"] = str(self.port + offset)
        node = {
            "RIVET_ENDPOINT": self.url,
            "RIVET_RUN_SERVICES": "0",
            "BENCH_NODE_MODULES": str(NODE_MODULES),
        }
        if self.nodelay is not None:
            engine["RIVET__GUARD__TCP_NODELAY"] = "true"
            node["LD_PRELOAD"] = str(self.nodelay)
        return [
            Command("engine", (str(_engine()), "start"), engine),
            Command("node", ("node", str(self.shared / "rivetkit-baseline.mjs")), node),
        ]


def _engine() -> Path:
    found = sorted(NODE_MODULES.glob("@rivetkit/engine-cli-*/rivet-engine"))
    if not found:
        raise SystemExit("bench: npm brought no engine binary for this machine")
    return found[0]


class Running:
    """A server that runs.

    Args:
        server: what to start.
        folder: where its data and logs go.
    """

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        for command in server.commands(folder):
            with (folder / f"{command.name}.log").open("wb") as log:
                self.processes[command.name] = subprocess.Popen(
                    command.argv,
                    env={**_environment(), **command.env},
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

    @property
    def pids(self) -> str:
        """The processes, as the load generator takes them."""
        return ",".join(f"{name}:{process.pid}" for name, process in self.processes.items())

    def wait(self) -> None:
        """Wait until an action is answered."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                act(self.server.url, "ready")
            except (OSError, urllib.error.URLError) as error:
                if time.monotonic() > deadline:
                    raise SystemExit(
                        f"bench: {self.server.name} does not answer: {error}"
                    ) from None
                time.sleep(0.1)
            else:
                return

    def memory(self) -> dict[str, float]:
        """Return resident memory by process, in MiB."""
        return {name: _resident(process.pid) for name, process in self.processes.items()}

    def cpu(self) -> dict[str, int]:
        """Return CPU time spent by process, in milliseconds."""
        return {name: _cpu(process.pid) for name, process in self.processes.items()}

    def stop(self) -> None:
        """Stop every process, the last started first."""
        for process in reversed(self.processes.values()):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def act(
    url: str,
    key: str,
    actor: str = "counter",
    action: str = "increment",
    args: Sequence[int] = (1,),
) -> object:
    """Call an action of the actor with this key; return its output."""
    query = f"rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default&rvt-key={key}"
    request = urllib.request.Request(
        f"{url}/gateway/{actor}/action/{action}?{query}",
        data=json.dumps({"args": args}).encode(),
        headers={"content-type": "application/json", "x-rivet-encoding": "json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        answer: dict[str, object] = json.load(response)
    return answer.get("output")


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _UNWANTED}


def _cpu(pid: int) -> int:
    _, _, fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")
    user, system = fields.split()[11:13]
    return (int(user) + int(system)) * 1000 // os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"bench: process {pid} has ended")
