"""The types of one actor: state, connection state, connection parameters, input.

They are the class's type arguments and what its hooks' annotations say, and have to agree.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Annotated, Any, Final, cast, get_args, get_origin

from pydantic import ValidationError

from rivetless.actor.annotations import Bindings, Scope, evaluate, hints_of, substitute
from rivetless.actor.arguments import NO_DEFAULT
from rivetless.errors import DefinitionError, validation_error
from rivetless.serde import (
    ForwardReferenceError,
    Schema,
    UnstorableError,
    issues,
    schema_of,
    type_name,
)

NONE: Final = type(None)


class ActorTypes:
    """What an actor keeps and receives.

    Attributes:
        takes_input: which of ``create_state`` and ``on_create`` take the input.
    """

    __slots__ = (
        "_arguments",
        "_bindings",
        "_cls",
        "_conn_state",
        "_hooks",
        "_input",
        "_input_default",
        "_make_conn_state",
        "_make_state",
        "_params",
        "_resolved",
        "_scope",
        "_state",
        "takes_input",
    )

    def __init__(
        self,
        cls: type[Any],
        arguments: tuple[Any, Any, Any],
        hooks: frozenset[str],
        scope: Scope,
        bindings: Bindings,
    ) -> None:
        """Note what ``resolve`` reads.

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
        self._resolved = False
        self._state: Schema[Any] | None = None
        self._conn_state: Schema[Any] | None = None
        self._params: Schema[Any] | None = None
        self._input: Schema[Any] | None = None
        self._input_default: Any = NO_DEFAULT
        self._make_state: Callable[[], Any] | None = None
        self._make_conn_state: Callable[[], Any] | None = None
        self.takes_input = frozenset(
            hook
            for hook in ("create_state", "on_create")
            if hook in hooks and _first_parameter(getattr(cls, hook)) is not None
        )

    # -- reading --------------------------------------------------------------------------------

    def resolve(self) -> None:
        """Read the types and build their schemas.

        Raises:
            ForwardReferenceError: a type names something that does not exist yet.
            DefinitionError: they are wrong or do not agree.
        """
        if self._resolved:
            return
        try:
            state, conn_state, params = map(self._evaluate, self._arguments)
            self._read_state(state)
            self._read_conn_state(conn_state)
            self._read_params(params)
            self._read_input()
        except ForwardReferenceError as error:
            raise ForwardReferenceError(f"{self._cls.__name__}: {error}") from error
        self._scope = {}
        self._resolved = True

    def _evaluate(self, annotation: Any) -> Any:
        module_names = vars(sys.modules[self._cls.__module__])
        return evaluate(annotation, module_names, self._scope)

    def _read_state(self, annotation: Any) -> None:
        makes = "create_state" in self._hooks
        returned = self._returned("create_state")
        if annotation is NONE:
            if makes and returned is not NONE:
                self._wrong(
                    "create_state",
                    "makes a state, but the class declares none. Write "
                    f"`class {self._cls.__name__}(Actor[{type_name(returned)}])`",
                )
            return
        self._state = self._schema(annotation, "its state")
        if makes:
            self._agree("create_state", "state", annotation, returned)
        else:
            self._make_state = self._maker(
                annotation, self._state, "create_state(self)", "the actor's state"
            )

    def _read_conn_state(self, annotation: Any) -> None:
        makes = "create_conn_state" in self._hooks
        returned = self._returned("create_conn_state")
        if annotation is NONE:
            if makes and returned not in (NONE, Any):
                self._wrong(
                    "create_conn_state",
                    "makes a connection state, but the class declares none. Write "
                    f"`Actor[..., {type_name(returned)}]`",
                )
            return
        self._conn_state = self._schema(annotation, "its connection state")
        if makes:
            self._agree("create_conn_state", "connection state", annotation, returned)
        else:
            self._make_conn_state = self._maker(
                annotation,
                self._conn_state,
                "create_conn_state(self, params)",
                "a connection's state",
            )

    def _read_params(self, annotation: Any) -> None:
        for hook in ("create_conn_state", "on_before_connect"):
            if hook not in self._hooks:
                continue
            given = self._parameter(hook)
            if given is Any or given == annotation:
                continue
            if annotation is not Any:
                self._wrong(
                    hook,
                    f"takes `{type_name(given)}`, but the connection's parameters are "
                    f"`{type_name(annotation)}`. Write the same type in both places",
                )
            annotation = given
        if annotation is not Any:
            self._params = self._schema(annotation, "the type of its connection parameters")

    def _read_input(self) -> None:
        annotation: Any = None
        for hook in ("create_state", "on_create"):
            if hook not in self.takes_input:
                continue
            given = self._parameter(hook)
            if annotation not in (None, Any) and given not in (Any, annotation):
                self._wrong(
                    hook,
                    f"takes `{type_name(given)}`, but `create_state` takes "
                    f"`{type_name(annotation)}`: both get the same input",
                )
            if annotation is None or annotation is Any:
                annotation = given
            parameter = _first_parameter(getattr(self._cls, hook))
            if parameter is not None and self._input_default is NO_DEFAULT:
                self._input_default = parameter.default
        if annotation is not None:
            self._input = self._schema(annotation, "the type of its input")

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

    def _maker(
        self, annotation: Any, schema: Schema[Any], hook: str, what: str
    ) -> Callable[[], Any]:
        """Return what makes a value without arguments."""
        make, why = find_maker(annotation, schema)
        if make is None:
            raise DefinitionError(
                f"{self._cls.__name__}: `{type_name(annotation)}` cannot be made without arguments "
                f"({why}). Give its fields defaults, or write `async def {hook} -> "
                f"{type_name(annotation)}` to make {what}."
            )
        return make

    def _agree(self, hook: str, what: str, declared: Any, returned: Any) -> None:
        if returned is Any or returned == declared:
            return
        if isinstance(returned, type) and isinstance(declared, type):
            if issubclass(returned, declared):
                return
        elif not isinstance(returned, type):
            return  # unions and the like are checked by their values
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

    def _wrong(self, hook: str, sentence: str) -> None:
        raise DefinitionError(f"{self._cls.__name__}.{hook} {sentence}.")

    # -- using ----------------------------------------------------------------------------------

    @property
    def state(self) -> Schema[Any] | None:
        """How state is stored."""
        if not self._resolved:
            self.resolve()
        return self._state

    @property
    def conn_state(self) -> Schema[Any] | None:
        """How connection state is stored."""
        if not self._resolved:
            self.resolve()
        return self._conn_state

    @property
    def params(self) -> Schema[Any] | None:
        """The type of connection parameters."""
        if not self._resolved:
            self.resolve()
        return self._params

    @property
    def input(self) -> Schema[Any] | None:
        """The type of the input."""
        if not self._resolved:
            self.resolve()
        return self._input

    @property
    def make_state(self) -> Callable[[], Any] | None:
        """Makes the first state where no hook does."""
        if not self._resolved:
            self.resolve()
        return self._make_state

    @property
    def make_conn_state(self) -> Callable[[], Any] | None:
        """Makes a connection's state where no hook does."""
        if not self._resolved:
            self.resolve()
        return self._make_conn_state

    def check_input(self, plain: object) -> Any:
        """See ``ActorDefinition.check_input``."""
        schema = self.input
        if schema is None:
            return None
        if plain is None and self._input_default is not NO_DEFAULT:
            return self._input_default
        return _check_received(schema, plain, f"The input for {self._cls.__name__} does not fit")

    def check_params(self, plain: object) -> Any:
        """See ``ActorDefinition.check_params``."""
        schema = self.params
        if schema is None:
            return plain
        return _check_received(schema, plain, f"The parameters for {self._cls.__name__} do not fit")

    def check_made(self, hook: str, schema: Schema[Any] | None, value: Any) -> Any:
        """Check what a hook returned.

        Raises:
            TypeError: it does not fit.
        """
        label = f"{self._cls.__name__}.{hook}"
        if schema is None:
            if value is not None:
                raise TypeError(f"{label} returned {value!r}, but there is nowhere to keep it.")
            return None
        try:
            return schema.check(value)
        except ValidationError as error:
            found = issues(error)[0]
            raise TypeError(
                f"{label} returned {type(value).__name__}, which is no "
                f"{type_name(schema.annotation)}: {found['message']}"
            ) from error


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


def find_maker(annotation: Any, schema: Schema[Any]) -> tuple[Callable[[], Any] | None, str]:
    """Find what makes a value of a type without arguments.

    Returns:
        The maker, or ``None`` and the reason.
    """
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
    make: Callable[[], Any] = cls
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
