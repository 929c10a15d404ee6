"""The arguments of one action: from the wire to Python and back.

On the wire arguments are a list. Positional parameters come first, in order; keyword-only ones
travel as one object behind them. ``*args`` takes what is left.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from pydantic import ValidationError

from rivetless.actor.annotations import Bindings, Scope, hints_of, substitute
from rivetless.errors import ActorError, DefinitionError, validation_error
from rivetless.frozen import frozen
from rivetless.serde import (
    ForwardReferenceError,
    Schema,
    json_schemas,
    schema_of,
    type_name,
)
from rivetless.serde import issues as issues_of

NO_DEFAULT: Final = inspect.Parameter.empty
"""Stands where a parameter has no default."""

_KIND = inspect.Parameter


@frozen
class Parameter:
    """One parameter of an action.

    Attributes:
        name: as written.
        schema: its type.
        default: its default, or ``NO_DEFAULT``.
    """

    name: str
    schema: Schema[Any]
    default: Any = NO_DEFAULT

    @property
    def required(self) -> bool:
        """Whether a caller must give it."""
        return self.default is NO_DEFAULT


class Signature:
    """The parameters and the result of one action, read from its annotations.

    Attributes:
        positional: the parameters that travel by place.
        variadic: what ``*args`` takes, if it is there.
        keywords: the parameters that travel in the trailing object.
        result: the type of the result.
    """

    __slots__ = (
        "_bindings",
        "_checks",
        "_function",
        "_label",
        "_required",
        "_resolved",
        "_scope",
        "_signature",
        "_simple",
        "keywords",
        "positional",
        "result",
        "variadic",
    )

    def __init__(
        self, function: Callable[..., Any], label: str, scope: Scope, bindings: Bindings
    ) -> None:
        """Read the shape; ``resolve`` reads the types.

        Args:
            function: the method.
            label: how messages name it: ``Counter.increment``.
            scope: names its annotations may use.
            bindings: what its type variables stand for.

        Raises:
            DefinitionError: it has parameters that cannot travel.
        """
        self._function = function
        self._label = label
        self._scope: Scope = scope
        self._bindings = bindings
        self._signature = _without_self(function, label)
        self._resolved = False
        self._checks: tuple[Callable[[object], Any], ...] = ()
        self._required = 0
        # ``False`` sends the first call the long way, which resolves.
        self._simple = False
        self.positional: tuple[Parameter, ...] = ()
        self.variadic: Parameter | None = None
        self.keywords: tuple[Parameter, ...] = ()
        self.result: Schema[Any] = schema_of(Any)

    def resolve(self) -> None:
        """Read the types and build their schemas.

        Raises:
            ForwardReferenceError: a type names something that does not exist yet.
            DefinitionError: a type cannot travel.
        """
        if self._resolved:
            return
        try:
            self._read(hints_of(self._function, self._scope))
        except ForwardReferenceError as error:
            raise ForwardReferenceError(f"{self._label}: {error}") from error
        self._scope = {}
        self._resolved = True

    def _read(self, hints: dict[str, Any]) -> None:
        positional: list[Parameter] = []
        keywords: list[Parameter] = []
        for parameter in self._signature.parameters.values():
            schema = self._schema(
                hints.get(parameter.name, Any), f"the parameter `{parameter.name}`"
            )
            read = Parameter(parameter.name, schema, parameter.default)
            if parameter.kind is _KIND.VAR_POSITIONAL:
                self.variadic = read
            elif parameter.kind is _KIND.KEYWORD_ONLY:
                keywords.append(read)
            else:
                positional.append(read)
        self.result = self._schema(hints.get("return", Any), "the result")
        self.positional = tuple(positional)
        self.keywords = tuple(keywords)
        self._checks = tuple(parameter.schema.checker for parameter in positional)
        self._required = sum(parameter.required for parameter in positional)
        self._simple = self.variadic is None and not keywords

    def _schema(self, annotation: Any, what: str) -> Schema[Any]:
        annotation = substitute(annotation, self._bindings)
        schema = schema_of(annotation)
        try:
            schema.build()
        except ForwardReferenceError:
            raise
        except TypeError as error:
            raise DefinitionError(
                f"{self._label}: {what} has the type `{type_name(annotation)}`, which cannot "
                "travel. Use a pydantic model, a dataclass, a TypedDict, builtins or a union "
                f"of them. ({error})"
            ) from error
        return schema

    # -- in the actor ---------------------------------------------------------------------------

    def bind(self, args: Sequence[object]) -> tuple[list[Any], dict[str, Any]]:
        """Check plain arguments; see ``ActionDefinition.bind``."""
        if self._simple and self._required <= len(args) <= len(self._checks):
            try:
                # One argument or none is the usual call, and a comprehension costs more than both.
                if not args:
                    return [], {}
                if len(args) == 1:
                    return [self._checks[0](args[0])], {}
                return [check(arg) for check, arg in zip(self._checks, args, strict=False)], {}
            except ValidationError:
                pass  # the long way says what is wrong
        self.resolve()
        return _Binding(self, args).bind()

    def encode_result(self, value: object) -> object:
        """Check a result and make it plain; see ``ActionDefinition.plain_result``."""
        try:
            return self.result.encode(value)
        except ValidationError as error:
            found = "; ".join(str(issue["message"]) for issue in issues_of(error)[:3])
            raise TypeError(
                f"{self._label} returned {type(value).__name__}, which does not fit its annotation "
                f"`{type_name(self.result.annotation)}`: {found}"
            ) from error

    # -- in a client ----------------------------------------------------------------------------

    def bind_client(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[object]:
        """Check a Python call and make it plain; see ``ActionDefinition.bind_client``."""
        self.resolve()
        if self._simple and not kwargs and self._required <= len(args) <= len(self.positional):
            return [
                self._encode(parameter, index, value)
                for index, (parameter, value) in enumerate(zip(self.positional, args, strict=False))
            ]
        try:
            given = self._signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{self._label}: {error}") from None
        plain: list[object] = []
        named = {
            parameter.name: self._encode(parameter, parameter.name, given[parameter.name])
            for parameter in self.keywords
            if parameter.name in given
        }
        rest: tuple[Any, ...] = given.get(self.variadic.name, ()) if self.variadic else ()
        last = max(
            (i for i, parameter in enumerate(self.positional) if parameter.name in given),
            default=-1,
        )
        # What stands behind a parameter that was left out needs something in its place.
        count = len(self.positional) if named or rest else last + 1
        for index, parameter in enumerate(self.positional[:count]):
            if parameter.name in given:
                plain.append(self._encode(parameter, index, given[parameter.name]))
            else:
                plain.append(_default_on_the_wire(parameter))
        if self.variadic is not None:
            for index, value in enumerate(rest, len(plain)):
                plain.append(self._encode(self.variadic, index, value))
        if named:
            plain.append(named)
        return plain

    def _encode(self, parameter: Parameter, step: int | str, value: object) -> object:
        try:
            return parameter.schema.encode(value)
        except ValidationError as error:
            found = _named(issues_of(error, (step,)), parameter.name)
            raise validation_error(found, f"{self._label}: {_summary(found)}") from error

    def json_schema(self, ref_template: str) -> dict[str, Any]:
        """Describe the argument list; see ``ActionDefinition.arguments_schema``."""
        self.resolve()
        parameters = [*self.positional, *self.keywords, *filter(None, [self.variadic])]
        described, definitions = json_schemas(
            [(parameter.name, "validation", parameter.schema) for parameter in parameters],
            ref_template=ref_template,
        )

        def describe(parameter: Parameter) -> dict[str, Any]:
            schema = {"title": parameter.name, **described[parameter.name, "validation"]}
            if not parameter.required and parameter.default is not None:
                default = _default_on_the_wire(parameter)
                if isinstance(default, bool | int | float | str):
                    schema["default"] = default
            return schema

        items = [describe(parameter) for parameter in self.positional]
        required = self._required
        if self.keywords:
            needed = [parameter.name for parameter in self.keywords if parameter.required]
            if needed:
                required = len(items) + 1
            named: dict[str, Any] = {
                "type": "object",
                "properties": {parameter.name: describe(parameter) for parameter in self.keywords},
                "additionalProperties": False,
            }
            items.append({**named, "required": needed} if needed else named)
        schema: dict[str, Any] = {"type": "array", "minItems": required}
        if items:
            schema["prefixItems"] = items
        if self.variadic is not None:
            schema["items"] = describe(self.variadic)
        else:
            schema |= {"items": False, "maxItems": len(items)}
        return {**schema, "$defs": definitions} if definitions else schema

    def refuse(self, issues: list[dict[str, object]]) -> ActorError:
        """Make the error that tells a caller what is wrong with the arguments."""
        return validation_error(issues, f"{self._label}: {_summary(issues)}")

    @property
    def label(self) -> str:
        """How messages name the action."""
        return self._label


class _Binding:
    """One call whose arguments are wrong, or need more than a look at each in turn."""

    __slots__ = ("_args", "_issues", "_signature")

    def __init__(self, signature: Signature, args: Sequence[object]) -> None:
        self._signature = signature
        self._args = args
        self._issues: list[dict[str, object]] = []

    def bind(self) -> tuple[list[Any], dict[str, Any]]:
        signature, args = self._signature, self._args
        bound: list[Any] = []
        for index, parameter in enumerate(signature.positional):
            if index < len(args):
                bound.append(self._check(parameter, args[index], index))
            elif parameter.required:
                self._missing(parameter, index)
            else:
                break
        rest = args[len(signature.positional) :]
        named: dict[str, Any] = {}
        if signature.variadic is not None:
            for index, arg in enumerate(rest, len(signature.positional)):
                bound.append(self._check(signature.variadic, arg, index))
        elif signature.keywords:
            named = self._bind_named(rest)
        elif rest:
            self._too_many(len(signature.positional))
        if self._issues:
            raise signature.refuse(self._issues)
        return bound, named

    def _bind_named(self, rest: Sequence[object]) -> dict[str, Any]:
        place = len(self._signature.positional)
        if len(rest) > 1:
            self._too_many(place + 1)
        given = rest[0] if rest else None
        if given is None:
            given = {}
        if not isinstance(given, dict):
            names = ", ".join(f"`{p.name}`" for p in self._signature.keywords)
            self._issue(f"Argument {place} is an object with {names}", "object_type", place)
            return {}
        given = cast("dict[object, object]", given)
        bound: dict[str, Any] = {}
        for parameter in self._signature.keywords:
            if parameter.name in given:
                value = self._check(parameter, given[parameter.name], place, parameter.name)
                bound[parameter.name] = value
            elif parameter.required:
                self._missing(parameter, place, parameter.name)
        known = {parameter.name for parameter in self._signature.keywords}
        for name in given:
            if name not in known:
                message = f"Unexpected argument `{name}`"
                self._issue(message, "unexpected_keyword_argument", place, str(name))
        return bound

    def _check(self, parameter: Parameter, value: object, *path: str | int) -> Any:
        try:
            return parameter.schema.check(value)
        except ValidationError as error:
            # JavaScript's ``undefined`` arrives as None; there it means "the default".
            if value is None and not parameter.required and parameter.default is not NO_DEFAULT:
                return parameter.default
            self._issues += _named(issues_of(error, path), parameter.name)
            return None

    def _missing(self, parameter: Parameter, *path: str | int) -> None:
        self._issue(f"Missing argument `{parameter.name}`", "missing_argument", *path)

    def _too_many(self, limit: int) -> None:
        given = f"{len(self._args)} given"
        message = f"Takes at most {limit} argument{'' if limit == 1 else 's'}, {given}"
        self._issue(message, "too_many_arguments", limit)

    def _issue(self, message: str, code: str, *path: str | int) -> None:
        self._issues.append({"path": list(path), "message": message, "code": code})


def _without_self(function: Callable[..., Any], label: str) -> inspect.Signature:
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    if not parameters or parameters[0].kind not in (
        _KIND.POSITIONAL_ONLY,
        _KIND.POSITIONAL_OR_KEYWORD,
    ):
        raise DefinitionError(f"{label}: an action is a method; its first parameter is `self`.")
    parameters = parameters[1:]
    kinds = {parameter.kind: parameter for parameter in parameters}
    if _KIND.VAR_KEYWORD in kinds:
        name = kinds[_KIND.VAR_KEYWORD].name
        raise DefinitionError(
            f"{label}: `**{name}` has no place on the wire. Name the parameters, or take one "
            f"dictionary: `{name}: dict[str, ...]`."
        )
    if _KIND.VAR_POSITIONAL in kinds and _KIND.KEYWORD_ONLY in kinds:
        rest, named = kinds[_KIND.VAR_POSITIONAL].name, kinds[_KIND.KEYWORD_ONLY].name
        raise DefinitionError(
            f"{label}: with `*{rest}`, nobody can tell on the wire where `{named}` begins. Take "
            f"a list instead of `*{rest}`, or make `{named}` an ordinary parameter."
        )
    return signature.replace(parameters=parameters)


def _default_on_the_wire(parameter: Parameter) -> object:
    """Return what stands for a parameter's default: itself, or None if it is no such value."""
    try:
        return parameter.schema.encode(parameter.default)
    except (ValidationError, TypeError):
        return None


def _named(issues: list[dict[str, object]], name: str) -> list[dict[str, object]]:
    return [{**issue, "parameter": name} for issue in issues]


def _summary(issues: list[dict[str, object]]) -> str:
    """Say the first mistakes in one sentence."""
    parts: list[str] = []
    for issue in issues[:3]:
        name = issue.get("parameter")
        if name is None:
            parts.append(str(issue["message"]))
            continue
        path = cast("list[object]", issue["path"])
        # The place of a parameter is its index, its name, or the trailing object's index and it.
        inner = path[2:] if path[1:2] == [name] else path[1:]
        where = ".".join(str(step) for step in (name, *inner))
        parts.append(f"`{where}`: {issue['message']}")
    if len(issues) > 3:
        parts.append(f"and {len(issues) - 3} more")
    return "; ".join(parts) + "."
