"""What simple actors do, for the check of linearizability: extend one of them, or write your own.

``calls`` renames: ``Counter({"deposit": "add", "balance": "get"})`` is a counter whose actions are
``deposit`` and ``balance``.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

from rivetless.testing.simulation.history import Operation, Refused

__all__ = ["KV", "BaseModel", "Counter", "Log", "Register", "Set"]

S = TypeVar("S", bound=Hashable)


class BaseModel(Generic[S]):
    """What the models share.

    Args:
        calls: which of the model's calls each action is; an action of the same name by default.
        user_errors: codes of errors that the model itself gives, as ``user.overdrawn``.
    """

    def __init__(
        self, calls: Mapping[str, str] | None = None, *, user_errors: Iterable[str] = ()
    ) -> None:
        self._calls = dict(calls or {})
        self._user_errors = frozenset(user_errors)

    def initial(self) -> S:
        """Return the state of an actor nobody has called."""
        raise NotImplementedError

    def apply(self, state: S, operation: Operation, /) -> Iterable[tuple[S, object]]:
        """Do what the method named after the call does, ``call_add`` for ``add``."""
        name = self._calls.get(operation.call, operation.call)
        method = getattr(self, f"call_{name}", None)
        if method is None:
            raise LookupError(f"{type(self).__name__} knows no call {name!r}: {operation}")
        result = method(state, *operation.args, **operation.kwargs)
        if isinstance(result, list):
            return cast("list[tuple[S, object]]", result)
        return (cast("tuple[S, object]", result),)

    def part(self, operation: Operation, /) -> Hashable:
        """Return the part of the state that a call is about; all of it here."""
        return None

    def refuses(self, code: str, /) -> bool:
        """Tell whether an error is one that this model explains."""
        return code in self._user_errors


class Register(BaseModel[Any]):
    """One value: ``get()``, ``set(value)``, ``compare_and_set(old, new)``, which tells."""

    def __init__(self, value: Hashable = None, calls: Mapping[str, str] | None = None) -> None:
        super().__init__(calls)
        self._value = value

    def initial(self) -> Any:
        """Return the value to begin with."""
        return self._value

    def call_get(self, state: Any) -> tuple[Any, object]:
        """Answer the value."""
        return state, state

    def call_set(self, state: Any, value: Any) -> tuple[Any, object]:
        """Take a value; answer nothing."""
        return value, None

    def call_compare_and_set(self, state: Any, old: Any, new: Any) -> tuple[Any, object]:
        """Take a value in place of another; tell whether that was there."""
        return (new, True) if state == old else (state, False)


class Counter(BaseModel[int]):
    """A number: ``add(amount=1)`` answers the sum, ``get()`` too.

    Args:
        calls: which of the model's calls each action is.
        least: what it never falls below.
        refusal: what ``add`` is refused with instead, as ``user.overdrawn``.
    """

    def __init__(
        self,
        calls: Mapping[str, str] | None = None,
        *,
        least: int | None = None,
        refusal: str = "user.too_little",
    ) -> None:
        super().__init__(calls, user_errors=() if least is None else (refusal,))
        self._least = least
        self._refusal = refusal

    def initial(self) -> int:
        """Return 0."""
        return 0

    def call_add(self, state: int, amount: int = 1) -> tuple[int, object]:
        """Add; answer the sum."""
        after = state + amount
        if self._least is not None and after < self._least:
            return state, Refused(self._refusal)
        return after, after

    def call_subtract(self, state: int, amount: int = 1) -> tuple[int, object]:
        """Subtract; answer what remains."""
        return self.call_add(state, -amount)

    def call_get(self, state: int) -> tuple[int, object]:
        """Answer the sum."""
        return state, state


class Log(BaseModel[tuple[Any, ...]]):
    """A list that grows: ``append(item)`` answers how many there are, ``read()`` all of them.

    Args:
        calls: which of the model's calls each action is.
        final: what it holds in the end, if that is known: what does not lead there is not tried,
            which makes short work of calls of unknown outcome.
    """

    def __init__(
        self, calls: Mapping[str, str] | None = None, *, final: Sequence[Any] | None = None
    ) -> None:
        super().__init__(calls)
        self._final = None if final is None else tuple(final)

    def initial(self) -> tuple[Any, ...]:
        """Return an empty one."""
        return ()

    def call_append(self, state: tuple[Any, ...], item: Any) -> Any:
        """Append; answer the length."""
        after = (*state, item)
        if self._final is not None and after != self._final[: len(after)]:
            return []
        return after, len(after)

    def call_read(self, state: tuple[Any, ...]) -> tuple[tuple[Any, ...], object]:
        """Answer all items, as a list."""
        return state, list(state)

    def call_length(self, state: tuple[Any, ...]) -> tuple[tuple[Any, ...], object]:
        """Answer the length."""
        return state, len(state)


class KV(BaseModel[Any]):
    """Values by key, each key for itself: ``put(key, value)``, ``get(key)``, ``delete(key)``.

    ``get`` of what is not there is None; ``put`` and ``delete`` answer nothing.
    """

    def initial(self) -> Any:
        """Return that the key is not there."""
        return None

    def part(self, operation: Operation, /) -> Hashable:
        """Return the key."""
        return operation.args[0]

    def call_put(self, state: Any, key: Any, value: Any) -> tuple[Any, object]:
        """Put a value; answer nothing."""
        return value, None

    def call_get(self, state: Any, key: Any) -> tuple[Any, object]:
        """Answer the value."""
        return state, state

    def call_delete(self, state: Any, key: Any) -> tuple[Any, object]:
        """Forget it; answer nothing."""
        return None, None


class Set(BaseModel[bool]):
    """Members, each for itself: ``add(member)`` and ``remove(member)`` tell whether it changed."""

    def initial(self) -> bool:
        """Return that the member is not there."""
        return False

    def part(self, operation: Operation, /) -> Hashable:
        """Return the member."""
        return operation.args[0]

    def call_add(self, state: bool, member: Any) -> tuple[bool, object]:
        """Add; tell whether it was not there."""
        return True, not state

    def call_remove(self, state: bool, member: Any) -> tuple[bool, object]:
        """Remove; tell whether it was there."""
        return False, state

    def call_contains(self, state: bool, member: Any) -> tuple[bool, object]:
        """Tell whether it is there."""
        return state, state
