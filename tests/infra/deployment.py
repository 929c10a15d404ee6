"""Deploying the template to a local AWS: for its test and for ``scripts/local-aws``.

The functions get what they get on AWS: the zip that ``sam build`` makes, with this working tree in
it. The local AWS runs them in its own Python, on this machine's processor, so they are built for
these.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast
from urllib.request import Request, urlopen

from tests.infra.front import fronted
from tests.ministack import free_port, serving

ROOT: Final = Path(__file__).parents[2]
CLIENT: Final = ROOT / "adapters" / "aws_lambda" / "client.mjs"
NODE_MODULES: Final = ROOT / "tests" / "clients" / "js" / "node_modules"

_WORK: Final = ROOT / ".aws-sam"
_ENDPOINT: Final = _WORK / "endpoint"
_STACK: Final = "rivetless"
_REGION: Final = "us-east-1"
_NOBODY: Final = "local"


def parameters() -> list[str]:
    """Return what the template is told for this machine."""
    arm = platform.machine() in ("arm64", "aarch64")
    return [
        f"Runtime=python3.{sys.version_info.minor}",
        f"Architecture={'arm64' if arm else 'x86_64'}",
    ]


def build(folder: Path) -> Path:
    """Build the functions into a folder; return the template that was built."""
    _run("build", "--build-dir", str(folder), "--parameter-overrides", *parameters())
    return folder / "template.yaml"


def deploy(template: Path, endpoint: str, *more: str) -> dict[str, str]:
    """Deploy a template that was built to a local AWS; return the stack's outputs.

    Args:
        template: the template.
        endpoint: of the local AWS.
        more: further parameters.
    """
    _run(
        "deploy",
        *("--template-file", str(template), "--stack-name", _STACK, "--resolve-s3"),
        *("--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"),
        *("--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"),
        *("--parameter-overrides", *parameters(), *more),
        endpoint=endpoint,
    )
    (stack,) = service("cloudformation", endpoint).describe_stacks(StackName=_STACK)["Stacks"]
    if not stack["StackStatus"].endswith("_COMPLETE"):
        raise RuntimeError(f"the stack is {stack['StackStatus']}")
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def service(name: str, endpoint: str) -> Any:
    """Return AWS's own client of a service."""
    return import_module("boto3").client(
        name,
        endpoint_url=endpoint,
        region_name=_REGION,
        aws_access_key_id=_NOBODY,
        aws_secret_access_key=_NOBODY,
    )


def deploy_with_sockets(template: Path, endpoint: str) -> dict[str, str]:
    """Deploy so that a local AWS can do all that it is able to do; return the stack's outputs.

    Its API Gateway puts no frames into queues, and its host is known once the API is there.
    """
    outputs = deploy(template, endpoint, "OrderedFrames=false")
    management = f"{endpoint}/_aws/execute-api/{_api(outputs, 'WebSocketApi')}/live"
    return deploy(template, endpoint, "OrderedFrames=false", f"SocketsEndpoint={management}")


def http_endpoint(endpoint: str, outputs: Mapping[str, str]) -> str:
    """Return where a local AWS serves the function URL."""
    return f"{endpoint}/_aws/lambda-url/{_api(outputs, 'FunctionUrl')}"


def api_endpoint(endpoint: str, outputs: Mapping[str, str]) -> str:
    """Return where a local AWS serves the HTTP API."""
    return f"{endpoint}/_aws/execute-api/{_api(outputs, 'HttpApi')}/$default"


def sockets_endpoint(endpoint: str, outputs: Mapping[str, str]) -> str:
    """Return where a local AWS serves the WebSocket API."""
    url = f"{endpoint}/_aws/execute-api/{_api(outputs, 'WebSocketApi')}/live"
    return url.replace("http", "ws", 1)


def _api(outputs: Mapping[str, str], name: str) -> str:
    return outputs[name].split("/")[2].partition(".")[0]


def drive(endpoint: str, folder: Path) -> str:
    """Run the official client against an endpoint; return what it says."""
    folder.mkdir(parents=True, exist_ok=True)
    # Node.js looks for packages where the program is.
    shutil.copy(CLIENT, folder)
    modules = folder / "node_modules"
    if not modules.exists():
        modules.symlink_to(NODE_MODULES)
    return _output(["node", CLIENT.name, endpoint], cwd=folder, environment=os.environ)


def get(url: str) -> Any:
    """Return what a URL answers, as JSON."""
    with urlopen(Request(url), timeout=30) as answer:
        return cast("Any", json.load(answer))


def _run(*arguments: str, endpoint: str | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"AWS_DEFAULT_REGION": _REGION, "__SAM_CLI_APP_DIR": str(_WORK / "home")}
    if endpoint is not None:
        environment |= {
            "AWS_ACCESS_KEY_ID": _NOBODY,
            "AWS_SECRET_ACCESS_KEY": _NOBODY,
            "AWS_ENDPOINT_URL": endpoint,
        }
    return _output([str(ROOT / "scripts" / "sam"), *arguments], cwd=ROOT, environment=environment)


def _output(command: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


# -- scripts/local-aws ---------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Deploy and keep running, or drive what is deployed."""
    parser = argparse.ArgumentParser(prog="scripts/local-aws")
    parser.add_argument("command", nargs="?", choices=("deploy", "drive"), default="deploy")
    parser.add_argument("--port", type=int, default=6420)
    arguments = parser.parse_args(argv)
    if arguments.command == "drive":
        if not _ENDPOINT.exists():
            sys.stderr.write("scripts/local-aws: nothing is deployed; run scripts/local-aws\n")
            return 1
        sys.stdout.write(drive(_ENDPOINT.read_text(encoding="utf-8"), _WORK / "client"))
        return 0
    return _serve(arguments.port)


def _serve(port: int) -> int:
    folder = _WORK / "ministack"
    folder.mkdir(parents=True, exist_ok=True)
    # The same way out for both signals, so that the local AWS ends with us.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with serving(folder, free_port()) as endpoint:
            sys.stdout.write("building and deploying, a minute\n")
            sys.stdout.flush()
            outputs = deploy_with_sockets(build(_WORK / "build"), endpoint)
            for name, value in outputs.items():
                sys.stdout.write(f"{name + ':':<18}{value}\n")
            asyncio.run(_front(endpoint, outputs, port))
    except KeyboardInterrupt:
        return 130
    finally:
        _ENDPOINT.unlink(missing_ok=True)
    return 0


async def _front(endpoint: str, outputs: Mapping[str, str], port: int) -> None:
    http, sockets = http_endpoint(endpoint, outputs), sockets_endpoint(endpoint, outputs)
    async with fronted(http, sockets, port) as url:
        _ENDPOINT.write_text(url, encoding="utf-8")
        sys.stdout.write(f"\nserved at {url}\nin another terminal: scripts/local-aws drive\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    sys.exit(main())
