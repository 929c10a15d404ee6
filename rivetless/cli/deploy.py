"""``rivetless deploy``: a plan, then AWS's SAM CLI, which builds and deploys.

The plan says which resources the parameters lead to and what they will cost; ``--dry-run`` ends
there. Nothing is asked of AWS for it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rivetless.cli import costs
from rivetless.cli.template import Template, read_template
from rivetless.clock import Clock, SystemClock
from rivetless.frozen import frozen

__all__ = ["Deployment", "NoSam", "deploy", "plan"]

_CAPABILITIES: Final = ("CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND")


class NoSam(Exception):
    """The program that deploys is not there."""


@frozen(kw_only=True)
class Deployment:
    """What is to be deployed, where.

    Attributes:
        template: path of the SAM template.
        stack: name of the CloudFormation stack.
        region: AWS region; ``None`` for what AWS's own settings say.
        profile: of AWS's settings.
        parameters: of the template.
        ask: show what CloudFormation is about to change and wait for a yes.
    """

    template: Path
    stack: str
    region: str | None = None
    profile: str | None = None
    parameters: Mapping[str, str]
    ask: bool = True


def deploy(deployment: Deployment, *, dry_run: bool = False, clock: Clock | None = None) -> int:
    """Print the plan; unless it is a dry run, build and deploy. Return the exit status.

    Raises:
        TemplateError: the template cannot be deployed as it is, or with these parameters.
        MissingExtraError: an extra is needed.
        NoSam: AWS's SAM CLI is not installed.
    """
    template = read_template(deployment.template)
    deployment = _released(deployment, template, clock or SystemClock())
    print("\n".join(plan(deployment, template)))
    if dry_run:
        return 0
    sam = shutil.which("sam")
    if sam is None:
        raise NoSam(
            "AWS's SAM CLI (`sam`) is not on PATH. Install it in an environment of its own, e.g. "
            "`pipx install aws-sam-cli`; --dry-run does without it."
        )
    # No telemetry unless the user's own environment asks for it.
    environment = {"SAM_CLI_TELEMETRY": "0"} | os.environ
    for command in commands(deployment, sam):
        status = subprocess.run(command, env=environment, check=False).returncode
        if status != 0:
            return status
    return 0


def _released(deployment: Deployment, template: Template, clock: Clock) -> Deployment:
    """Tell this deployment from others: a template that publishes versions asks for it."""
    if "Release" not in template.body.get("Parameters", {}):
        return deployment
    now = f"{datetime.fromtimestamp(clock.now(), UTC):%Y-%m-%dT%H:%M:%SZ}"
    return replace(deployment, parameters={"Release": now, **deployment.parameters})


def commands(deployment: Deployment, sam: str) -> Iterator[Sequence[str]]:
    """Yield the commands that build and deploy."""
    parameters = [f"{name}={value}" for name, value in deployment.parameters.items()]
    overrides = ["--parameter-overrides", *parameters] if parameters else []
    where = [
        *(["--region", deployment.region] if deployment.region else []),
        *(["--profile", deployment.profile] if deployment.profile else []),
    ]
    yield [sam, "build", "--template-file", str(deployment.template), *where, *overrides]
    yield [
        sam,
        "deploy",
        "--stack-name",
        deployment.stack,
        "--resolve-s3",
        "--capabilities",
        *_CAPABILITIES,
        "--confirm-changeset" if deployment.ask else "--no-confirm-changeset",
        "--no-fail-on-empty-changeset",
        *where,
        *overrides,
    ]


# -- the plan ------------------------------------------------------------------------------------


def plan(deployment: Deployment, template: Template) -> Iterator[str]:
    """Yield the lines of a plan.

    Raises:
        TemplateError: the parameters do not fit.
    """
    values = template.parameters(deployment.parameters)
    resources = template.resources(values)
    where = deployment.region or "the region of your settings"
    yield f"Stack {deployment.stack} in {where}, from {deployment.template}"
    yield ""
    yield "Parameters"
    for name, value in values.items():
        given = "" if name in deployment.parameters else "  (default)"
        yield f"  {name:<24}{value or '-'}{given}"
    yield ""
    yield f"Resources: {len(resources)}"
    for kind, count in sorted(Counter(resources.values()).items()):
        yield f"  {count:>3}  {kind}"
    yield ""
    yield from _costs(values)


def _costs(values: Mapping[str, str]) -> Iterator[str]:
    functions = costs.Functions(
        memory=int(values.get("Memory", costs.Functions().memory)),
        architecture=values.get("Architecture", costs.Functions().architecture),
    )
    size = f"{functions.memory} MB, {functions.architecture}"
    yield f"Estimated cost of a million, in dollars, with {size}"
    for way, work in costs.ways(values).items():
        parts = costs.cost(work, functions)
        told = " + ".join(f"{name} {dollars:.3f}" for name, dollars in parts.items())
        yield f"  {way:<36}{costs.total(parts):>7.3f} = {told}"
    idle = costs.total(costs.cost(costs.IDLE_MONTH, functions, times=1))
    yield f"  {'a month in which nothing happens':<36}{idle:>7.3f}"
    warm = int(values.get("ProvisionedConcurrency", "0"))
    if warm:
        kept = costs.kept_warm(functions, warm)
        yield f"  {f'a month of {warm} kept warm':<36}{kept:>7.3f}"
    yield "Prices are those of us-east-1, without logs, transfer and free tiers (docs: AWS, Costs)."
