"""The types of one actor: state, connection state, connection parameters, input.

They are the class's type arguments and what its hooks' annotations say, and have to agree.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Final, NoReturn, TypeAlias, cast, get_args, get_origin

from pydantic import ValidationError

from rivetless.actor.annotations import (
    Bindings,
    Scope,
    evaluate,
    hints_of,
    module_names,
    substitute,
)
from rivetless.actor.arguments import NO_DEFAULT
from rivetless.errors import DefinitionError, validation_error
from rivetless.frozen import frozen
from rivetless.serde import (
    ForwardReferenceError,
    Schema,
    UnstorableError,
    issues,
    schema_of,
    type_name,
)

NONE: Final = type(None)

Maker: TypeAlias = Callable[[], Any]
"""Makes a new value of a type."""


@frozen
class ActorTypes:
    """What an actor keeps and receives.

    Attributes:
        owner: the class's name, for messages.
        state: how state is stored; ``None`` for an actor without.
        conn_state: how connection state is stored; ``None`` if there is none.
        params: the type of connection parameters; ``None`` takes any.
        input: the type of the input; ``None`` if no hook takes one.
        input_default: what the hook's parameter has as its default, or ``NO_DEFAULT``.
        make_state: makes the first state where no hook does.
        make_conn_state: makes a connection's state where no hook does.
    """

    owner: str
    state: Schema[Any] | None = None
    conn_state: Schema[Any] | None = None
    params: Schema[Any] | None = None
    input: Schema[Any] | None = None
    input_default: Any = NO_DEFAULT
    make_state: Callable[[], Any] | None = None
    make_conn_state: Callable[[], Any] | None = None

    def check_input(self, plain: object) -> Any:
        """See ``ActorDefinition.check_input``."""
        if self.input is None:
            return None
        if plain is None and self.input_default is not NO_DEFAULT:
            return self.input_default
        return _check_received(self.input, plain, f"The input for {self.owner} does not fit")

    def check_params(self, plain: object) -> Any:
        """See ``ActorDefinition.check_params``."""
        if self.params is None:
            return plain
        return _check_received(self.params, plain, f"The parameters for {self.owner} do not fit")

    def check_made(self, hook: str, schema: Schema[Any] | None, value: Any) -> Any:
        """Check what a hook returned.

        Raises:
            TypeError: it does not fit.
        """
        label = f"{self.owner}.{hook}"
        if schema is None:
            if value is not None:
                raise TypeError(f"{label} returned {value!r}, but there is nowhere to keep it.")
            return None
        try:
            return schema.check(value)
        except ValidationError as error:
            raise TypeError(
                f"{label} returned {type(value).__name__}, which is no "
                f"{type_name(schema.annotation)}: {_shown(issues(error)[0])}"
            ) from error


class TypesReader:
    """Reads an actor's types from its class, when they are asked for.

    Attributes:
        takes_input: which of ``create_state`` and ``on_create`` take the input.
    """

    def __init__(
        self,
        cls: type[Any],
        arguments: tuple[Any, Any, Any],
        hooks: frozenset[str],
        scope: Scope,
        bindings: Bindings,
    ) -> None:
        """Note what ``get`` reads.

        Args:
            cls: the actor class.
            arguments: its type arguments: state, connection state, parameters.
            hooks: the hooks it defines.
            scope: names that annotations may use.
            bindings: what type variables stand for.
        """
        self._cls = cls
        self._arguments = arguments
        self._hooks = hooks
        self._scope: Scope = scope
        self._bindings = bindings
        self._types: ActorTypes | None = None
        self.takes_input = tuple(
            hook
            for hook in ("create_state", "on_create")
            if hook in hooks and _first_parameter(getattr(cls, hook)) is not None
        )

    def get(self) -> ActorTypes:
        """Return the types; the first call reads them and builds their schemas.

        Raises:
            ForwardReferenceError: a type names something that does not exist yet.
            DefinitionError: they are wrong or do not agree.
        """
        if self._types is None:
            try:
                self._types = self._read()
            except ForwardReferenceError as error:
                raise ForwardReferenceError(f"{self._cls.__name__}: {error}") from error
            self._scope = {}
        return self._types

    def _read(self) -> ActorTypes:
        state, conn_state, params = map(self._evaluate, self._arguments)
        state_schema, make_state = self._read_state(state)
        conn_schema, make_conn_state = self._read_conn_state(conn_state)
        input_schema, input_default = self._read_input()
        return ActorTypes(
            self._cls.__name__,
            state_schema,
            conn_schema,
            self._read_params(params),
            input_schema,
            input_default,
            make_state,
            make_conn_state,
        )

    def _evaluate(self, annotation: Any) -> Any:
        return evaluate(annotation, module_names(self._cls), self._scope)

    def _read_state(self, annotation: Any) -> tuple[Schema[Any] | None, Maker | None]:
        makes = "create_state" in self._hooks
        returned = self._returned("create_state")
        if annotation is NONE:
            if makes and returned is not NONE:
                self._wrong(
                    "create_state",
                    "makes a state, but the class declares none. Write "
                    f"`class {self._cls.__name__}(Actor[{type_name(returned)}])`",
                )
            return None, None
        schema = self._schema(annotation, "its state")
        if makes:
            self._agree("create_state", "state", annotation, returned)
            return schema, None
        return schema, self._maker(schema, "create_state(self)", "the actor's state")

    def _read_conn_state(self, annotation: Any) -> tuple[Schema[Any] | None, Maker | None]:
        makes = "create_conn_state" in self._hooks
        returned = self._returned("create_conn_state")
        if annotation is NONE:
            if makes and returned not in (NONE, Any):
                self._wrong(
                    "create_conn_state",
                    "makes a connection state, but the class declares none. Write "
                    f"`Actor[..., {type_name(returned)}]`",
                )
            return None, None
        schema = self._schema(annotation, "its connection state")
        if makes:
            self._agree("create_conn_state", "connection state", annotation, returned)
            return schema, None
        hook = "create_conn_state(self, params)"
        return schema, self._maker(schema, hook, "a connection's state")

    def _read_params(self, annotation: Any) -> Schema[Any] | None:
        for hook in ("create_conn_state", "on_before_connect"):
            given = self._parameter(hook) if hook in self._hooks else Any
            if given is Any or given == annotation:
                continue
            if annotation is not Any:
                self._wrong(
                    hook,
                    f"takes `{type_name(given)}`, but the connection's parameters are "
                    f"`{type_name(annotation)}`. Write the same type in both places",
                )
            annotation = given
        if annotation is Any:
            return None
        return self._schema(annotation, "the type of its connection parameters")

    def _read_input(self) -> tuple[Schema[Any] | None, Any]:
        if not self.takes_input:
            return None, NO_DEFAULT
        annotation, default = Any, NO_DEFAULT
        for hook in self.takes_input:
            given = self._parameter(hook)
            if annotation is Any:
                annotation = given
            elif given not in (Any, annotation):
                self._wrong(
                    hook,
                    f"takes `{type_name(given)}`, but `create_state` takes "
                    f"`{type_name(annotation)}`: both get the same input",
                )
            parameter = _first_parameter(getattr(self._cls, hook))
            if parameter is not None and default is NO_DEFAULT:
                default = parameter.default
        return self._schema(annotation, "the type of its input"), default

    def _schema(self, annotation: Any, what: str) -> Schema[Any]:
        schema = schema_of(annotation)
        try:
            schema.build()
        except ForwardReferenceError:
            raise
        except TypeError as error:
            raise DefinitionError(
                f"{self._cls.__name__}: {what}, `{type_name(annotation)}`, cannot be stored or "
                "sent. Use a pydantic model, a dataclass, a TypedDict, builtins or a union of "
                f"them. ({error})"
            ) from error
        return schema

    def _maker(self, schema: Schema[Any], hook: str, what: str) -> Maker:
        """Return what makes a value without arguments."""
        make, why = find_maker(schema)
        if make is None:
            name = type_name(schema.annotation)
            raise DefinitionError(
                f"{self._cls.__name__}: `{name}` cannot be made without arguments ({why}). Give "
                f"its fields defaults, or write `async def {hook} -> {name}` to make {what}."
            )
        return make

    def _agree(self, hook: str, what: str, declared: Any, returned: Any) -> None:
        # Unions and the like are left to the check of what the hook returns.
        if returned is Any or not isinstance(returned, type) or not isinstance(declared, type):
            return
        if not issubclass(returned, declared):
            self._wrong(
                hook, f"returns `{type_name(returned)}`, but the {what} is `{type_name(declared)}`"
            )

    def _hints(self, hook: str) -> dict[str, Any]:
        hints = hints_of(getattr(self._cls, hook), self._scope)
        return {name: substitute(hint, self._bindings) for name, hint in hints.items()}

    def _returned(self, hook: str) -> Any:
        return self._hints(hook).get("return", Any) if hook in self._hooks else Any

    def _parameter(self, hook: str) -> Any:
        parameter = _first_parameter(getattr(self._cls, hook))
        return Any if parameter is None else self._hints(hook).get(parameter.name, Any)

    def _wrong(self, hook: str, sentence: str) -> NoReturn:
        raise DefinitionError(f"{self._cls.__name__}.{hook} {sentence}.")


def _check_received(schema: Schema[Any], plain: object, what: str) -> Any:
    try:
        return schema.check(plain)
    except ValidationError as error:
        found = issues(error)
    if plain is None:
        # Nothing was sent. A type whose fields all have defaults does without, and one that has
        # required fields says best which they are.
        try:
            return schema.check({})
        except ValidationError as error:
            if all(issue["code"] == "missing" for issue in issues(error)):
                found = issues(error)
    raise validation_error(found, f"{what}: {_shown(found[0])}.")


def find_maker(schema: Schema[Any]) -> tuple[Maker | None, str]:
    """Find what makes a value of a type without arguments.

    Returns:
        The maker, or ``None`` and the reason.
    """
    annotation = schema.annotation
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    try:
        schema.check(None)
    except ValidationError:
        pass
    else:
        return (lambda: None), ""
    cls = get_origin(annotation) or annotation
    if not isinstance(cls, type):
        return None, "it is no class"
    cls = _CONCRETE.get(cls.__name__, cls) if inspect.isabstract(cls) else cls
    make: Maker = cls
    try:
        value = make()
        schema.check(value)
        schema.dump(value)
    except ValidationError as error:
        return None, _shown(issues(error)[0])
    except UnstorableError as error:
        return None, str(error)
    except Exception as error:  # a constructor of the user's may raise anything
        return None, f"{type(error).__name__}: {error}"
    return make, ""


_CONCRETE: Final[dict[str, type[Any]]] = {
    "Mapping": dict,
    "MutableMapping": dict,
    "Sequence": list,
    "MutableSequence": list,
    "Set": set,
    "MutableSet": set,
    "Collection": list,
    "Iterable": list,
}


def _shown(issue: dict[str, object]) -> str:
    path = cast("list[object]", issue["path"])
    where = ".".join(str(step) for step in path)
    return f"{where}: {issue['message']}" if where else str(issue["message"])


def _first_parameter(hook: Callable[..., Any]) -> inspect.Parameter | None:
    """Return a hook's first parameter after ``self``."""
    parameters = list(inspect.signature(hook).parameters.values())[1:]
    return parameters[0] if parameters else None
