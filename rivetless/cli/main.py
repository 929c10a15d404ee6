"""The command line: what it takes, and which command runs."""

from __future__ import annotations

import argparse
import errno
import gc
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rivetless.cli.loading import LoadingError, load_registry
from rivetless.errors import DefinitionError, MissingExtraError

if TYPE_CHECKING:
    from rivetless.registry import Registry

__all__ = ["main", "make_parser"]

_APP_HELP = (
    "where the registry is: module:attribute or path/to/file.py[:attribute]; the attribute may be "
    "left out where there is just one registry"
)
_STORE_HELP = "memory: or sqlite:PATH (default: $RIVETLESS_STORE, else sqlite:.rivetless/actors.db)"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    import rivetless

    parser = argparse.ArgumentParser(
        prog="rivetless", description="Durable, stateful actors for Python."
    )
    parser.add_argument("--version", action="version", version=f"rivetless {rivetless.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    dev = commands.add_parser(
        "dev", help="serve actors while you write them", description="Serve actors of a registry."
    )
    serve = commands.add_parser(
        "serve", help="serve actors", description="Serve actors of a registry."
    )
    for command in (dev, serve):
        _add_server_options(command)
    dev.add_argument(
        "--reload", action="store_true", help="start again when a Python file below here changes"
    )
    dev.add_argument(
        "--aws",
        action="store_true",
        help="run the actors as AWS would: in Lambda processes, behind API Gateway, with SQS and "
        "Scheduler, all on this machine",
    )
    openapi = commands.add_parser(
        "openapi",
        help="print the OpenAPI document",
        description="Print what can be said to the actors of a registry over HTTP.",
    )
    openapi.add_argument("app", help=_APP_HELP)
    openapi.add_argument(
        "--asyncapi", action="store_true", help="the AsyncAPI document of connections instead"
    )
    _add_deployment_options(
        commands.add_parser(
            "deploy",
            help="deploy actors to AWS",
            description="Show what a SAM template makes and costs, then build and deploy it.",
        )
    )
    _add_workflow_commands(commands.add_parser)
    return parser


def _add_workflow_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    check = add(
        "replay",
        help="check histories of workflows against the code",
        description="Run recorded histories of workflows against the code as it is.",
    )
    check.add_argument("exports", nargs="+", type=Path, metavar="EXPORT", help="exported history")
    check.add_argument("--app", required=True, help="where the registry is: module:attribute")
    workflow = add("workflow", help="look at workflows, and run them again")
    verbs = workflow.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, text in (
        ("export", "print a history as JSON"),
        ("show", "draw a history as a tree"),
        ("rerun-from", "forget a step and all that came after it, and go on from there"),
    ):
        command = verbs.add_parser(verb, help=text, description=f"{text.capitalize()}.")
        command.add_argument("actor", help="an actor's id, or its name and key: order/42")
        if verb == "rerun-from":
            command.add_argument("step", help="the step's place, as `show` has it: loop/~3/charge")
        command.add_argument("--store", required=True, metavar="URL", help="sqlite:PATH or such")
        command.add_argument("--namespace", default="default", help="of the actor")


def _add_deployment_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--template",
        type=Path,
        default=Path("template.yaml"),
        metavar="PATH",
        help="the SAM template (default: template.yaml)",
    )
    command.add_argument(
        "--stack",
        default="rivetless",
        metavar="NAME",
        help="name of the CloudFormation stack (default: rivetless)",
    )
    command.add_argument(
        "--region", default=None, help="AWS region (default: that of your AWS settings)"
    )
    command.add_argument("--profile", default=None, help="profile of your AWS settings")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="parameters",
        help="a parameter of the template; may be given several times",
    )
    command.add_argument(
        "--dry-run", action="store_true", help="show the plan and change nothing; asks AWS nothing"
    )
    command.add_argument(
        "--yes", action="store_true", help="do not ask before CloudFormation changes anything"
    )


def _add_server_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("app", help=_APP_HELP)
    command.add_argument("--host", default="127.0.0.1", help="address to bind (default: loopback)")
    command.add_argument("--port", type=int, default=6420, help="port to bind (default: 6420)")
    command.add_argument("--store", default=None, metavar="URL", help=_STORE_HELP)
    command.add_argument(
        "--synchronous",
        choices=("full", "normal"),
        default="full",
        help="of SQLite: whether acknowledged calls survive a power cut (full) or just the end of "
        "the process (normal, faster)",
    )
    command.add_argument(
        "--https",
        action="store_true",
        help="HTTP/2 under a certificate of this machine; Chromium needs it for actions over HTTP",
    )
    command.add_argument(
        "--secret-file",
        default=None,
        metavar="PATH",
        help="file with the secret that the processes of a deployment share "
        "(default: $RIVETLESS_SECRET, else kept beside an SQLite store)",
    )
    command.add_argument(
        "--expose-errors",
        action="store_true",
        default=None,
        help="show internal errors to clients (default: $RIVET_EXPOSE_ERRORS=1)",
    )
    command.add_argument("--quiet", action="store_true", help="say nothing at the start")
    command.add_argument("--fd", type=int, default=None, help=argparse.SUPPRESS)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the console script's entry point."""
    # The collector need not look through all this while the application is imported.
    gc.freeze()
    arguments = make_parser().parse_args(argv)
    given = sys.argv[1:] if argv is None else argv
    try:
        return _run(arguments, given)
    except (DefinitionError, LoadingError, MissingExtraError) as error:
        if os.environ.get("RIVETLESS_TRACEBACK") == "1":
            raise
        return _complain(str(error))
    except KeyboardInterrupt:
        return 130


def _run(arguments: argparse.Namespace, given: Sequence[str]) -> int:
    if arguments.command == "openapi":
        return _describe(arguments)
    if arguments.command == "deploy":
        return _deploy(arguments)
    if arguments.command in ("replay", "workflow"):
        from rivetless.cli.workflows import run

        try:
            return run(arguments)
        except (OSError, ValueError) as error:
            return _complain(str(error))
    # Without reload, mistakes of the application's own are shown as Python shows them.
    reload: bool = getattr(arguments, "reload", False)
    registry = None if reload else load_registry(arguments.app)
    try:
        if registry is not None and getattr(arguments, "aws", False):
            from rivetless.cli.lab import run_lab

            return run_lab(registry, arguments)
        if registry is not None:
            return _serve(registry, arguments)
        from rivetless.cli.reload import run_reloading

        return run_reloading(arguments.host, arguments.port, given)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return _complain(str(error))
        return _complain(
            f"port {arguments.port} of {arguments.host} is taken. "
            "Stop what is there, or take another with --port."
        )
    except ValueError as error:
        return _complain(str(error))


def _complain(message: str) -> int:
    print(f"rivetless: {message}", file=sys.stderr)
    return 1


def _serve(registry: Registry, arguments: argparse.Namespace) -> int:
    secret = None
    if arguments.secret_file is not None:
        secret = Path(arguments.secret_file).read_text().strip()
    registry.serve(
        host=arguments.host,
        port=arguments.port,
        https=arguments.https,
        fd=arguments.fd,
        quiet=arguments.quiet,
        store=arguments.store,
        synchronous=arguments.synchronous,
        secret=secret,
        expose_errors=arguments.expose_errors,
    )
    return 0


def _describe(arguments: argparse.Namespace) -> int:
    from pydantic_core import to_json

    registry = load_registry(arguments.app)
    if arguments.asyncapi:
        from rivetless.gateway.asyncapi import asyncapi

        document = asyncapi(registry)
    else:
        from rivetless.gateway.openapi import openapi

        document = openapi(registry)
    print(to_json(document, indent=2).decode())
    return 0


def _deploy(arguments: argparse.Namespace) -> int:
    from rivetless.cli.deploy import Deployment, NoSam, deploy
    from rivetless.cli.template import TemplateError

    parameters: dict[str, str] = {}
    for given in arguments.parameters:
        name, equals, value = given.partition("=")
        if not (name and equals):
            return _complain(f"--set takes NAME=VALUE, not {given!r}.")
        parameters[name] = value
    deployment = Deployment(
        template=arguments.template,
        stack=arguments.stack,
        region=arguments.region,
        profile=arguments.profile,
        parameters=parameters,
        ask=not arguments.yes,
    )
    try:
        return deploy(deployment, dry_run=arguments.dry_run)
    except (NoSam, TemplateError) as error:
        return _complain(str(error))
