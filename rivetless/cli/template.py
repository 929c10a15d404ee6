"""A CloudFormation template read as data: its parameters, and the resources that they choose.

Reads no more than a plan needs. What the functions in a template would give is AWS's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from rivetless.errors import missing_extra
from rivetless.frozen import frozen

__all__ = ["Template", "TemplateError", "read_template", "read_yaml"]


class TemplateError(Exception):
    """The template cannot be deployed as it is, or with these parameters."""


@frozen
class Template:
    """A template.

    Attributes:
        path: where it is.
        body: what it says; short forms (``!Ref``) as their long ones.
    """

    path: Path
    body: Mapping[str, Any]

    def parameters(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the value of every parameter, given or not.

        Raises:
            TemplateError: there is no such parameter, or it cannot have this value.
        """
        declared: Mapping[str, Any] = self.body.get("Parameters", {})
        values: dict[str, str] = {}
        for name in given.keys() - declared.keys():
            raise TemplateError(
                f"{self.path} has no parameter {name}. It has: {_listed(declared)}."
            )
        for name, told in declared.items():
            value: object = given[name] if name in given else told.get("Default")
            if value is None:
                raise TemplateError(f"The parameter {name} has no default. Give it: --set {name}=…")
            allowed = [str(one) for one in told.get("AllowedValues", ())]
            values[name] = str(value)
            if allowed and values[name] not in allowed:
                raise TemplateError(f"{name} is one of {_listed(allowed)}, not {value!r}.")
        return values

    def resources(self, parameters: Mapping[str, str]) -> dict[str, str]:
        """Return the resources that come into being, with the type of each."""
        found: dict[str, str] = {}
        for name, resource in self.body["Resources"].items():
            condition = resource.get("Condition")
            if condition is None or self._holds({"Condition": condition}, parameters):
                found[name] = resource["Type"]
        return found

    def _holds(self, condition: Any, parameters: Mapping[str, str]) -> bool:
        ((function, argument),) = condition.items()
        match function:
            case "Condition":
                return self._holds(self.body["Conditions"][argument], parameters)
            case "Fn::Equals":
                left, right = (_value(side, parameters) for side in argument)
                return left == right
            case "Fn::Not":
                return not self._holds(argument[0], parameters)
            case "Fn::And":
                return all(self._holds(part, parameters) for part in argument)
            case "Fn::Or":
                return any(self._holds(part, parameters) for part in argument)
            case _:
                raise TemplateError(f"{self.path}: {function} is no condition that is known here.")


def read_template(path: Path) -> Template:
    """Read a template.

    Raises:
        TemplateError: there is none.
        MissingExtraError: the package that reads YAML is not installed.
    """
    body = read_yaml(path)
    if not isinstance(body, dict) or "Resources" not in body:
        raise TemplateError(f"{path} is no template: it has no Resources.")
    return Template(path, cast("Mapping[str, Any]", body))


def read_yaml(path: Path) -> Any:
    """Read YAML as CloudFormation writes it, short forms as their long ones.

    Raises:
        TemplateError: it cannot be read.
        MissingExtraError: the package that reads YAML is not installed.
    """
    try:
        import yaml
    except ImportError:
        missing_extra("deploy", "yaml")

    class Loader(yaml.SafeLoader):
        """Knows the short forms."""

    def construct(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
        value: Any
        if isinstance(node, yaml.ScalarNode):
            value = loader.construct_scalar(node)
            if suffix == "GetAtt":
                value = str(value).split(".", 1)
        elif isinstance(node, yaml.SequenceNode):
            value = loader.construct_sequence(node, deep=True)
        else:
            value = loader.construct_mapping(cast("yaml.MappingNode", node), deep=True)
        return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}

    cast("Any", Loader).add_multi_constructor("!", construct)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise TemplateError(
            f"{path} cannot be read ({error.strerror}). Copy template.yaml and adapters/aws_lambda "
            "from rivetless' repository, or name yours with --template."
        ) from error
    try:
        # A subclass of the safe loader: it makes data only.
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise TemplateError(f"{path} is no YAML: {error}") from error


def _value(side: Any, parameters: Mapping[str, str]) -> str:
    return parameters[side["Ref"]] if isinstance(side, dict) else str(side)


def _listed(names: Any) -> str:
    return ", ".join(str(name) for name in names)
