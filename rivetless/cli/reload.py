"""Starting the server again when code changes, without a moment in which nobody listens.

The official client gives a connection up for good when it is refused, so this process holds the
listening socket, and hands it to one server after the other.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

__all__ = ["run_reloading"]

_PACE: Final = 0.3
_PATIENCE: Final = 15.0
_SKIPPED: Final = frozenset({"node_modules", "__pycache__", "site-packages", "venv"})


def run_reloading(host: str, port: int, argv: Sequence[str]) -> int:
    """Serve until interrupted, with a new process after each change.

    Args:
        host: address to bind.
        port: port to bind.
        argv: the command line, ``--reload`` included.
    """
    from rivetless.hosts.server import listen

    if os.name != "posix":
        raise ValueError("--reload hands a socket from process to process; Windows has no way to.")
    signal.signal(signal.SIGTERM, _interrupt)
    pause = threading.Event()
    with listen(host, port) as listening:
        seen = _snapshot(Path.cwd())
        child = _start(argv, listening.fileno())
        try:
            while child.poll() != 0:
                # One that failed waits for the change that mends it.
                pause.wait(_PACE)
                now = _snapshot(Path.cwd())
                if now != seen:
                    seen = now
                    _stop(child)
                    print("rivetless: code has changed, starting again", file=sys.stderr)
                    child = _start([*argv, "--quiet"], listening.fileno())
            return 0
        except KeyboardInterrupt:
            return 130
        finally:
            _stop(child)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _start(argv: Sequence[str], fd: int) -> subprocess.Popen[bytes]:
    rest = [argument for argument in argv if argument != "--reload"]
    command = [sys.executable, "-m", "rivetless.cli", *rest, "--fd", str(fd)]
    # Python takes a compiled file for the source's if both are of one second and one size, which
    # two quick changes may well be.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(command, env=environment, pass_fds=(fd,))


def _stop(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _snapshot(root: Path) -> dict[str, int]:
    """Return when each Python file below a folder was last changed."""
    return dict(_files(root))


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith(".") and entry.name not in _SKIPPED:
                    yield from _files(Path(entry.path))
            elif entry.name.endswith(".py"):
                yield entry.path, entry.stat().st_mtime_ns
        except OSError:
            continue
