"""``rivetless deploy``: the plan, what is refused, and the commands it runs."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

import pytest

from rivetless.cli import main
from rivetless.cli.deploy import Deployment, commands, deploy
from rivetless.cli.template import TemplateError, read_template
from rivetless.testing.clock import FakeClock

ROOT: Final = Path(__file__).parents[3]
TEMPLATE: Final = ROOT / "template.yaml"

SMALL: Final = """
Parameters:
  Size: {Type: String, Default: small, AllowedValues: [small, large]}
  Name: {Type: String}
Conditions:
  Large: !Equals [!Ref Size, large]
  Small: !Not [!Condition Large]
  Both: !And [!Condition Large, !Condition Small]
  Either: !Or [!Condition Large, !Condition Small]
Resources:
  Always: {Type: A::B::C}
  IfLarge: {Type: A::B::D, Condition: Large}
  IfSmall: {Type: A::B::E, Condition: Small}
  Never: {Type: A::B::F, Condition: Both}
  Ever: {Type: A::B::G, Condition: Either}
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def test_the_plan_tells_resources_and_costs(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["deploy", "--template", str(TEMPLATE), "--dry-run"]
    assert main([*command, "--set", "Edge=none", "--set", "ProvisionedConcurrency=2"]) == 0
    told = capsys.readouterr().out
    assert "AWS::DynamoDB::Table" in told
    assert "AWS::CloudFront::Distribution" not in told
    assert "CloudFront 1.000" not in told
    assert "0.925 = DynamoDB 0.625 + Lambda 0.300" in told
    assert "a month of 2 kept warm" in told
    assert main(command) == 0
    assert "AWS::CloudFront::Distribution" in capsys.readouterr().out


def test_conditions_choose_resources(small: Path) -> None:
    template = read_template(small)
    values = template.parameters({"Name": "x"})
    assert values == {"Size": "small", "Name": "x"}
    assert set(template.resources(values)) == {"Always", "IfSmall", "Ever"}
    assert set(template.resources(values | {"Size": "large"})) == {"Always", "IfLarge", "Ever"}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"Sise": "large", "Name": "x"}, "has no parameter Sise"),
        ({"Size": "medium", "Name": "x"}, "Size is one of small, large, not 'medium'"),
        ({}, "Name has no default"),
    ],
)
def test_parameters_are_checked(small: Path, given: dict[str, str], problem: str) -> None:
    with pytest.raises(TemplateError, match=problem):
        read_template(small).parameters(given)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "cannot be read"),
        ("a: [", "is no YAML"),
        ("- a", "it has no Resources"),
        ("Description: x", "it has no Resources"),
    ],
)
def test_what_is_no_template_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, problem: str
) -> None:
    path = tmp_path / "template.yaml"
    if text is not None:
        path.write_text(text)
    assert main(["deploy", "--template", str(path), "--dry-run"]) == 1
    assert problem in capsys.readouterr().err


def test_an_unknown_condition_is_told(small: Path) -> None:
    small.write_text(SMALL.replace("!Equals [!Ref Size, large]", "!Contains [[a], b]"))
    with pytest.raises(TemplateError, match="Fn::Contains is no condition"):
        read_template(small).resources({"Size": "small", "Name": "x"})


def test_a_setting_has_a_name_and_a_value(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", "--dry-run", "--set", "Memory"]) == 1
    assert "--set takes NAME=VALUE, not 'Memory'" in capsys.readouterr().err


def test_without_sam_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["deploy", "--template", str(TEMPLATE)]) == 1
    assert "pipx install aws-sam-cli" in capsys.readouterr().err


def test_without_yaml_it_names_the_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert main(["deploy", "--template", str(TEMPLATE), "--dry-run"]) == 1
    assert "pip install 'rivetless[deploy]'" in capsys.readouterr().err


@pytest.mark.parametrize(("fails", "status", "runs"), [("", 0, 2), ("build", 7, 1)])
def test_sam_builds_and_deploys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fails: str, status: int, runs: int
) -> None:
    sam, log = tmp_path / "sam", tmp_path / "log"
    sam.write_text(
        f'#!/bin/sh\necho "$SAM_CLI_TELEMETRY $*" >>"{log}"\n[ "$1" != "{fails}" ] || exit 7\n'
    )
    sam.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("SAM_CLI_TELEMETRY", raising=False)
    options = ["--stack", "mine", "--region", "eu-west-1", "--set", "Memory=1024", "--yes"]
    assert main(["deploy", "--template", str(TEMPLATE), *options]) == status
    lines = log.read_text().splitlines()
    assert len(lines) == runs
    assert all(line.startswith("0 ") for line in lines)
    assert "--region eu-west-1" in lines[-1]
    release, memory = lines[-1].partition("--parameter-overrides ")[2].split()
    assert re.fullmatch(r"Release=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", release)
    assert memory == "Memory=1024"


def test_it_asks_unless_it_is_told_not_to() -> None:
    def last(*, ask: bool) -> list[str]:
        deployment = Deployment(
            template=TEMPLATE, stack="mine", profile="p", parameters={}, ask=ask
        )
        *_, command = commands(deployment, "sam")
        return list(command)

    assert "--confirm-changeset" in last(ask=True)
    assert "--no-confirm-changeset" in last(ask=False)
    assert last(ask=True)[-2:] == ["--profile", "p"]


def test_a_release_is_the_time_unless_it_is_given(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(template: Path, **parameters: str) -> str:
        deployment = Deployment(template=template, stack="mine", parameters=parameters)
        assert deploy(deployment, dry_run=True, clock=FakeClock()) == 0
        return capsys.readouterr().out

    assert re.search(r"Release +2096-10-02T07:06:40Z", told(TEMPLATE))
    assert re.search(r"Release +mine", told(TEMPLATE, Release="mine"))
    assert "Release" not in told(small, Name="x")
