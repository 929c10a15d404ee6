"""The template as data, and its parts that are kept elsewhere: ``scripts/reference`` copies them.

A part from a file is the value of the key that follows its comment::

    # from infra/policies/http.yaml
    PolicyDocument:
      ...
    # end
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from rivetless.cli.template import read_template
from rivetless.store.dynamodb import table

ROOT: Final = Path(__file__).parents[2]
TEMPLATE: Final = ROOT / "template.yaml"

_PART: Final = re.compile(
    r"(?P<head>^(?P<indent> +)# from (?P<path>\S+)\n.+\n)(?:.*\n)*?(?P<end>(?P=indent)# end\n)",
    re.MULTILINE,
)
_TABLE: Final = re.compile(
    r"(?P<head>^(?P<indent> +)# made from the code: table\n)(?:.*\n)*?(?P<end>(?P=indent)# end\n)",
    re.MULTILINE,
)


# -- parts ---------------------------------------------------------------------------------------


def table_properties() -> dict[str, Any]:
    """Return what the code says of the table, as CloudFormation has it."""
    properties = table.definition("") | table.expiry("")
    del properties["TableName"]
    return properties


def assembled(text: str) -> str:
    """Return the template with its parts copied anew."""

    def part(match: re.Match[str]) -> str:
        text = (ROOT / match["path"]).read_text(encoding="utf-8")
        return match["head"] + _indented(text, match["indent"] + "  ") + match["end"]

    def made(match: re.Match[str]) -> str:
        text = yaml.safe_dump(table_properties(), sort_keys=False)
        return match["head"] + _indented(text, match["indent"]) + match["end"]

    return _TABLE.sub(made, _PART.sub(part, text))


def _indented(text: str, indent: str) -> str:
    return "".join(f"{indent}{line}\n" if line else "\n" for line in text.splitlines())


# -- data ----------------------------------------------------------------------------------------


@cache
def read(path: Path = TEMPLATE) -> Mapping[str, Any]:
    """Return the template, its short forms as long ones."""
    return read_template(path).body


def resources(kind: str) -> Mapping[str, Any]:
    """Return the template's resources of one type."""
    found = read()["Resources"]
    return {name: resource for name, resource in found.items() if resource["Type"] == kind}
