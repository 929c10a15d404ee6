"""Servers in processes of their own: two on one store, one that reloads, ends that are polite."""

import asyncio
import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rivetless import Client
from tests.hosts.mounting import Counter
from tests.servers import ROOT, ServerProcess

pytestmark = pytest.mark.timeout(120)

APP = "tests.hosts.mounting:registry"


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what other processes do, which no clock of ours can hurry."""
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110 -- nobody tells us
            await asyncio.sleep(0.01)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[ServerProcess]]:
    store = f"sqlite:{tmp_path / 'actors.db'}"
    both = [ServerProcess(APP, store, tmp_path / f"log{n}") for n in range(2)]
    for server in both:
        server.launch()
    for server in both:
        server.wait()
    yield both
    for server in both:
        server.close()


async def test_two_processes_deliver_each_others_events(servers: list[ServerProcess]) -> None:
    async with Client(servers[0].endpoint) as one, Client(servers[1].endpoint) as other:
        mine = one.get_or_create(Counter, "shared")
        theirs = other.get_or_create(Counter, "shared")
        seen: tuple[list[int], list[int]] = ([], [])
        async with one.connect(mine) as first, other.connect(theirs) as second:
            first.on(Counter.changed, seen[0].append)
            second.on(Counter.changed, seen[1].append)
            # An answer says that the subscription before it is in effect.
            await first.actor.increment(0)
            await second.actor.increment(0)
            for _ in range(10):
                await first.actor.increment()
                await second.actor.increment()
            await mine.increment()
            await theirs.increment()
            await until(lambda: min(len(events) for events in seen) >= 23)

        wanted = [0, *range(1, 23)]
        assert seen[0][-23:] == wanted
        assert seen[1][-23:] == wanted


async def test_what_a_dead_process_held_is_no_obstacle(servers: list[ServerProcess]) -> None:
    async with Client(servers[0].endpoint) as one, Client(servers[1].endpoint) as other:
        mine = one.get_or_create(Counter, "shared")
        theirs = other.get_or_create(Counter, "shared")
        async with one.connect(mine) as conn:
            conn.on(Counter.changed, lambda value: None)
            await conn.actor.increment()
            servers[0].kill()
            assert [await theirs.increment() for _ in range(5)] == [2, 3, 4, 5, 6]


def test_the_command_serves_and_ends_politely(tmp_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        process, url = command(tmp_path, "serve", APP)
        assert call(url, "increment") == 1
        process.send_signal(number)
        out, _ = process.communicate(timeout=15)
        assert "Traceback" not in out
        assert process.returncode in (0, 130, -number)


SOURCE = """
from rivetless import Actor, action, setup

class Counter(Actor):
    @action
    async def increment(self) -> int:
        return {answer}

registry = setup(use=[Counter])
"""


@pytest.mark.slow
def test_reload_never_refuses_a_connection(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(SOURCE.format(answer=1))
    process, url = command(tmp_path, "dev", "app.py", "--reload")
    try:
        assert call(url, "increment") == 1
        # Broken code is waited for, not given up at.
        app.write_text("def")
        wait_for_line(process, "SyntaxError")
        app.write_text(SOURCE.format(answer=2))
        # The connection is made at once, and served when somebody is there to serve it.
        assert call(url, "increment") == 2
        app.write_text(SOURCE.format(answer=3))
        deadline = time.monotonic() + 60
        while (answer := call(url, "increment")) != 3:
            assert answer == 2
            assert time.monotonic() < deadline
    finally:
        process.terminate()
        process.communicate(timeout=30)


def command(folder: Path, *arguments: str) -> tuple[subprocess.Popen[str], str]:
    """Start the command and return it with the URL that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rivetless.cli", *arguments, "--port", "0", "--store", "memory:"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return process, wait_for_line(process, "clients").split()[1]


def wait_for_line(process: subprocess.Popen[str], text: str) -> str:
    assert process.stdout is not None
    said: list[str] = []
    for line in process.stdout:
        said.append(line)
        if text in line:
            return line
    raise AssertionError("".join(said))


def call(url: str, action: str) -> Any:
    """Call an action on a connection of its own."""
    host = url.removeprefix("http://")
    query = "rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default&rvt-key=k"
    while True:
        connection = http.client.HTTPConnection(host, timeout=15)
        try:
            connection.request("POST", f"/gateway/counter/action/{action}?{query}", b"{}")
            response = connection.getresponse()
            body = response.read()
            assert response.status == 200, body
            return json.loads(body)["output"]
        except (http.client.RemoteDisconnected, ConnectionResetError):
            # Accepted by the process that was about to end; clients try again.
            continue
        finally:
            connection.close()
