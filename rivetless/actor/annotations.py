"""Reading type annotations: names in function scopes, forward references, generic bases."""

from __future__ import annotations

import builtins
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args, get_origin

from rivetless.errors import DefinitionError
from rivetless.serde import ForwardReferenceError

Scope = Mapping[str, object]
"""Names that annotations may use besides their module's globals."""

Bindings = Mapping[Any, Any]
"""What stands for the type variables of a generic base, in one class derived from it."""

_BETWEEN = ("__init_subclass__", "<generic parameters of ")


def calling_scope() -> dict[str, object]:
    """Return the local names of whoever executes the class statement that runs this hook.

    A class in a function may name that function's locals in its annotations; Python keeps no
    trace of them. To be called from ``__init_subclass__``.
    """
    frame: types.FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    # Python 3.12 runs ``class Shelf[T]`` in a frame of its own, where T is.
    while frame is not None and frame.f_code.co_name.startswith(_BETWEEN):
        frame = frame.f_back
    if frame is None or frame.f_locals is frame.f_globals:
        return {}
    return dict(frame.f_locals)


def class_scope(cls: type[Any], outer: Scope) -> dict[str, object]:
    """Return ``outer`` and the classes that the class body itself defines."""
    names: dict[str, object] = {}
    for base in reversed(cls.__mro__):
        variables: tuple[Any, ...] = getattr(base, "__type_params__", ())
        names |= {variable.__name__: variable for variable in variables}
        names |= {
            name: value
            for name, value in vars(base).items()
            if isinstance(value, type) and not hasattr(builtins, name)
        }
    return {**names, cls.__name__: cls, **outer}


def module_names(cls: type[Any]) -> dict[str, Any]:
    """Return the globals of a class's module; none if nobody knows the module."""
    return getattr(sys.modules.get(cls.__module__), "__dict__", {})


def evaluate(annotation: Any, names: dict[str, Any], scope: Scope) -> Any:
    """Evaluate an annotation that may be text or hold text.

    Raises:
        ForwardReferenceError: it names something that does not exist yet.
        DefinitionError: it is no type.
    """

    def holder() -> None: ...

    holder.__annotations__ = {"value": annotation}
    return _hints(holder, names, scope)["value"]


def hints_of(function: Callable[..., Any], scope: Scope) -> dict[str, Any]:
    """Return a function's annotations, evaluated.

    Raises:
        ForwardReferenceError: one names something that does not exist yet.
        DefinitionError: one is no type.
    """
    function = inspect.unwrap(function)
    return _hints(function, getattr(function, "__globals__", {}), scope)


def _hints(function: Any, names: dict[str, Any], scope: Scope) -> dict[str, Any]:
    # The class body's names come last, since a method called ``list`` is not the type.
    others = {name: value for name, value in scope.items() if name not in names}
    try:
        return typing.get_type_hints(function, names, others, include_extras=True)
    except NameError as error:
        raise ForwardReferenceError(f"`{error.name}` is not defined") from error
    except Exception as error:  # whatever the user's expression raises
        raise DefinitionError(
            f"{function.__qualname__}: an annotation cannot be evaluated: {error}"
        ) from error


def substitute(annotation: Any, bindings: Bindings) -> Any:
    """Put types in the place of type variables."""
    if isinstance(annotation, TypeVar):
        return bindings.get(annotation, annotation)
    parameters = _parameters(annotation)
    if not parameters:
        return annotation
    return annotation[tuple(bindings.get(parameter, parameter) for parameter in parameters)]


def has_variables(annotation: Any) -> bool:
    """Whether type variables are left in a type."""
    return isinstance(annotation, TypeVar) or bool(_parameters(annotation))


def _parameters(annotation: Any) -> tuple[Any, ...]:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        # A class is no generic alias, but pydantic's ``Page[T]`` is a class.
        metadata: dict[str, Any] = getattr(annotation, "__pydantic_generic_metadata__", {})
        return tuple(metadata.get("parameters", ())) if metadata.get("origin") else ()
    return tuple(getattr(annotation, "__parameters__", ()))


def bindings_of(cls: type[Any], root: type[Any]) -> dict[Any, Any]:
    """Find what stands for the type variables of ``cls``'s bases down to ``root``'s own.

    Variables that nobody set stand for their default, or for themselves where there is none.
    """
    found: dict[Any, Any] = {}
    _collect(cls, root, {}, found)
    return found


def _collect(cls: type[Any], root: type[Any], outer: Bindings, found: dict[Any, Any]) -> None:
    bases: tuple[Any, ...] = cls.__dict__.get("__orig_bases__", cls.__bases__)
    for base in bases:
        origin = get_origin(base) or base
        if origin in (typing.Generic, typing.Protocol, object) or not isinstance(origin, type):
            continue
        parameters: tuple[Any, ...] = getattr(origin, "__parameters__", ())
        given = [substitute(argument, outer) for argument in get_args(base)]
        inner: dict[Any, Any] = {}
        for index, parameter in enumerate(parameters):
            inner[parameter] = given[index] if index < len(given) else _default(parameter)
        for parameter, value in inner.items():
            # Of two ways to one base the first wins, as in the method resolution order.
            found.setdefault(parameter, value)
        if origin is not root:
            _collect(origin, root, inner, found)


def _default(parameter: Any) -> Any:
    has_default = getattr(parameter, "has_default", None)
    if has_default is not None and has_default():
        return parameter.__default__
    return parameter
