"""``Declared``: what events and queues have in common, a name and types that travel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, NoReturn, Self, get_args

from pydantic import ValidationError

from rivetless.actor.annotations import Bindings, Scope, evaluate, has_variables, substitute
from rivetless.actor.names import member_name, why_not
from rivetless.errors import DefinitionError, validation_error
from rivetless.serde import Schema, issues, schema_of


class Declared(ABC):
    """A declaration in the body of an actor class: ``changed = Event[int]()``.

    Its types are its class's type arguments. They are read at the first use only, since they may
    name what does not exist yet when the actor's class is created.

    Args:
        name: its name on the wire; camelCase of the attribute's name by default.

    Attributes:
        name: on the wire.
        python_name: the attribute's name.
    """

    defaults: ClassVar[tuple[Any, ...]] = (Any,)
    """What the type arguments are where they are not given."""

    def __init__(self, name: str | None) -> None:
        if name is not None and (wrong := why_not(name)):
            raise DefinitionError(f"{type(self).__name__}: {wrong}.")
        self.name = name or ""
        self.python_name = ""
        self._names: tuple[dict[str, Any], Scope] = ({}, {})
        self._types: tuple[Any, ...] | None = None
        self._schemas: tuple[Schema[Any], ...] | None = None

    def __set_name__(self, owner: type[Any], name: str) -> None:
        # A second name for one declaration is refused when the class is compiled.
        self.python_name = self.python_name or name
        self.name = self.name or member_name(name)

    @property
    def types(self) -> tuple[Any, ...]:
        """Its types, as they were written."""
        if self._types is not None:
            return self._types
        # ``Event[int]()`` sets ``__orig_class__`` after ``__init__``: look only now.
        alias = getattr(self, "__orig_class__", None)
        given = () if alias is None else get_args(alias)
        return (*given, *self.defaults[len(given) :])

    def names(self, module_names: dict[str, Any], scope: Scope) -> None:
        """Say what the names in its types mean, for types given as text."""
        if self._schemas is None:
            self._names = (module_names, scope)

    def resolve(self) -> tuple[Schema[Any], ...]:
        """Build the schemas.

        Raises:
            ForwardReferenceError: a type names something that does not exist yet.
            TypeError: it cannot travel.
        """
        if self._schemas is None:
            types = tuple(evaluate(written, *self._names) for written in self.types)
            schemas = tuple(schema_of(annotation) for annotation in types)
            for schema in schemas:
                schema.build()
            self._types, self._schemas = types, schemas
            self._names = ({}, {})
        return self._schemas

    def specialise(self, bindings: Bindings) -> Self:
        """Return the declaration of a class derived from the generic one that declared it."""
        if not any(map(has_variables, self.types)):
            return self
        copy = self._again()
        copy.python_name = self.python_name
        copy._types = tuple(substitute(written, bindings) for written in self.types)
        return copy

    @abstractmethod
    def _again(self) -> Self:
        """Make another one with the same options."""


def mistakes(error: ValidationError | TypeError) -> Iterator[dict[str, object]]:
    """Yield what is wrong with a value, as callers are told."""
    if isinstance(error, ValidationError):
        yield from issues(error)
    else:
        yield {"path": [], "message": str(error), "code": "not_serialisable"}


def refuse(what: str, error: ValidationError | TypeError) -> NoReturn:
    """Say that ``what`` is wrong.

    Raises:
        ActorError: ``actor.validation_error``.
    """
    found = list(mistakes(error))
    raise validation_error(found, f"{what} is wrong: {found[0]['message']}.") from error
