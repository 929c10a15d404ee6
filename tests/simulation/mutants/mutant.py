"""What a mutant is: a mistake in rivetless's own code that the simulator has to find.

A mutant is planted in memory: one function or method is replaced by a wrong version of it, written
out as anybody might write it who has not thought of the one case. Most of them call the right
version with something changed, so that they stay what they say when that is rewritten.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from rivetless.testing.simulation.stores import StoreKind


class PlantError(Exception):
    """A mutant does not fit the code any more: what it replaces is gone, or has changed."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mistake that can be planted.

    Attributes:
        name: unique among all of them.
        says: one sentence: what is wrong.
        plant: plants it for as long as the context lasts.
        author: ``"blind"`` where whoever wrote it had not seen the checkers.
        stores: the stores that it shows on; all of them where none is named.
        features: what a workload has to do so that it can show.
        crude: whether a call without faults already shows it.
    """

    name: str
    says: str
    plant: Callable[[], AbstractContextManager[None]]
    author: str = "blind"
    stores: tuple[StoreKind, ...] = ()
    features: tuple[str, ...] = ()
    crude: bool = False


def mutant(
    says: str,
    *,
    stores: tuple[StoreKind, ...] = (),
    features: tuple[str, ...] = (),
    crude: bool = False,
) -> Callable[[Callable[[], AbstractContextManager[None]]], Mutant]:
    """Make a mutant of a function that plants it; the function's name is its name."""

    def make(plant: Callable[[], AbstractContextManager[None]]) -> Mutant:
        name = plant.__name__.replace("_", "-")
        return Mutant(name, says, plant, stores=stores, features=features, crude=crude)

    return make


@contextmanager
def replaced(owner: object, name: str, wrong: object) -> Iterator[None]:
    """Replace an attribute of a class or a module, and put it back.

    Raises:
        PlantError: the owner has no such attribute of its own, or it takes other arguments.
    """
    where = f"{getattr(owner, '__name__', owner)}.{name}"
    attributes = vars(owner)
    if name not in attributes:
        raise PlantError(f"there is no {where}")
    right = attributes[name]
    if (expected := _shape(right)) != (found := _shape(wrong)):
        raise PlantError(f"{where} is {expected} now, and the wrong one is {found}")
    setattr(owner, name, wrong)
    try:
        yield
    finally:
        setattr(owner, name, right)


@contextmanager
def together(*replacements: AbstractContextManager[None]) -> Iterator[None]:
    """Make several replacements that are one mistake."""
    with ExitStack() as stack:
        for replacement in replacements:
            stack.enter_context(replacement)
        yield


def _shape(value: object) -> object:
    """Return what a replacement has in common with what it replaces."""
    if isinstance(value, property):
        return "a property"
    if isinstance(value, staticmethod | classmethod):
        return type(value).__name__, _shape(value.__func__)
    if callable(value):
        names = tuple(inspect.signature(value).parameters)
        return (
            "async " if inspect.iscoroutinefunction(value) else ""
        ) + f"def ({', '.join(names)})"
    return type(value).__name__
