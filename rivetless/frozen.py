"""``frozen``: a frozen dataclass with slots, at a fifth of what defining one costs.

``@dataclass(frozen=True, slots=True)`` writes the source of seven methods and compiles it, for each
class. This package has a hundred of them, and a process that starts, or a function that starts
cold, would spend a fifth of its imports on that. Here ``__init__`` is compiled; the rest is shared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from functools import partial
from operator import attrgetter
from typing import Any, Final, TypeVar, cast, dataclass_transform, overload

__all__ = ["frozen"]

T = TypeVar("T")

_ABSENT: Final = object()


@overload
def frozen(cls: type[T], /) -> type[T]: ...


@overload
def frozen(*, kw_only: bool) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T] | None = None, /, *, kw_only: bool = False) -> Any:
    """Make a class a frozen dataclass with slots, compared and hashed by its fields.

    ``fields``, ``replace``, ``copy``, ``pickle``, ``match``, ``__post_init__`` and ``field`` with a
    default or a factory work as with the standard library's.

    Args:
        cls: the class.
        kw_only: let fields be given by name only.

    Raises:
        TypeError: ``field`` was given something else, or the class extends a dataclass.
    """
    if cls is None:
        return partial(_freeze, kw_only)
    return _freeze(kw_only, cls)


def _freeze(kw_only: bool, cls: type[T]) -> type[T]:
    made: Any = dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)(cls)
    for one in fields(made):
        usual = one.init and one.repr and one.compare and one.hash is None
        if not usual or one.kw_only != kw_only or one.name not in made.__dict__:
            raise TypeError(f"{cls.__qualname__}.{one.name} takes a dataclass, not `frozen`")
    made.__init__ = _initialiser(made, kw_only)
    made._values = staticmethod(_getter(tuple(one.name for one in fields(made))))
    for method in (__setattr__, __delattr__, __repr__, __eq__, __hash__, __reduce__):
        if method.__name__ not in cls.__dict__:
            setattr(made, method.__name__, method)
    return cast("type[T]", made)


def _initialiser(cls: Any, kw_only: bool) -> Callable[..., None]:
    # A slot's own setter is the fastest way past `__setattr__`.
    scope: dict[str, Any] = {"_absent": _ABSENT}
    head = ["self", "*"] if kw_only and fields(cls) else ["self"]
    body: list[str] = []
    for one in fields(cls):
        name = one.name
        scope[f"_set_{name}"] = getattr(cls, name).__set__
        value = name
        if one.default_factory is not MISSING:
            # What `dict[str, int]` makes is what `dict` makes, at five times the cost.
            factory = one.default_factory
            scope[f"_make_{name}"] = getattr(factory, "__origin__", factory)
            head.append(f"{name}=_absent")
            value = f"_make_{name}() if {name} is _absent else {name}"
        elif one.default is not MISSING:
            scope[f"_default_{name}"] = one.default
            head.append(f"{name}=_default_{name}")
        else:
            head.append(name)
        body.append(f"_set_{name}(self, {value})")
    body.append("self.__post_init__()" if hasattr(cls, "__post_init__") else "pass")
    exec(f"def __init__({', '.join(head)}):\n " + "\n ".join(body), scope)
    made: Any = scope["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__annotations__ = {one.name: one.type for one in fields(cls)} | {"return": None}
    return cast("Callable[..., None]", made)


def _getter(names: tuple[str, ...]) -> Callable[[Any], object]:
    return attrgetter(*names) if names else lambda _: ()


def __setattr__(self: object, name: str, value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def __delattr__(self: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def __repr__(self: Any) -> str:
    values = (f"{one.name}={getattr(self, one.name)!r}" for one in fields(self))
    return f"{type(self).__qualname__}({', '.join(values)})"


def __eq__(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self._values(self) == self._values(other)


def __hash__(self: Any) -> int:
    return hash(self._values(self))


def __reduce__(self: Any) -> tuple[Any, ...]:
    return _make_again, (self.__class__, {o.name: getattr(self, o.name) for o in fields(self)})


def _make_again(cls: type[T], values: dict[str, Any]) -> T:
    return cls(**values)
