"""``rivetless dev --aws``: the application as AWS would run it, until somebody stops it."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rivetless.hosts.asgi import DEFAULT_STORE
from rivetless.hosts.secrets import SECRET_VARIABLE
from rivetless.hosts.server import listen

if TYPE_CHECKING:
    from rivetless.registry import Registry
    from rivetless.testing.lambda_lab import LambdaLab

__all__ = ["run_lab"]


def run_lab(registry: Registry, arguments: argparse.Namespace) -> int:
    """Serve a registry from the Lambda lab until interrupted.

    Args:
        registry: what the processes of the lab will find, too.
        arguments: the command line of ``rivetless dev``.

    Raises:
        OSError: the port cannot be had.
        ValueError: options that do not go together.
        MissingExtraError: the lab's packages are not installed.
    """
    if arguments.https:
        raise ValueError("--aws and --https do not go together.")
    store: str = arguments.store or os.environ.get("RIVETLESS_STORE") or DEFAULT_STORE
    if arguments.fd is None:
        listening = listen(arguments.host, arguments.port)
    else:
        listening = socket.socket(fileno=arguments.fd)
    with listening:
        asyncio.run(_serve(registry, arguments, store, listening))
    return 0


async def _serve(
    registry: Registry, arguments: argparse.Namespace, store: str, listening: socket.socket
) -> None:
    from rivetless.testing.lambda_lab import LambdaLab

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    lab = LambdaLab(
        arguments.app, store=store, listening=listening, variables=_variables(arguments)
    )
    async with lab:
        lab.function.on_line = _show
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _recycle, lab)
        if not arguments.quiet:
            print(_greeting(registry, lab, store), flush=True)
        await stop.wait()


def _recycle(lab: LambdaLab) -> None:
    """Do as a deployment does: whatever comes next meets processes that know nothing."""
    lab.function.recycle()
    _show("rivetless: every process starts cold again")


def _show(line: str) -> None:
    """Show what a process of the lab says, but for its metrics."""
    if not line.startswith('{"_aws":'):
        print(line, file=sys.stderr)


def _variables(arguments: argparse.Namespace) -> dict[str, str]:
    variables: dict[str, str] = {}
    if arguments.expose_errors:
        variables["RIVET_EXPOSE_ERRORS"] = "1"
    if arguments.secret_file is not None:
        variables[SECRET_VARIABLE] = Path(arguments.secret_file).read_text().strip()
    return variables


def _greeting(registry: Registry, lab: LambdaLab, store: str) -> str:
    import rivetless

    lines = [
        f"rivetless {rivetless.__version__}, in Lambda processes on this machine",
        f"  actors    {', '.join(sorted(registry.definitions)) or 'none'}",
        f"  store     {store}",
        f"  clients   {lab.endpoint}",
        f"  services  {lab.services_endpoint} (SQS, Scheduler, @connections)",
        '  sockets take JSON only: createClient({ endpoint, encoding: "json" })',
        "  stop with Ctrl+C",
    ]
    return "\n".join(lines)
