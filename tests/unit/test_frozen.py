"""Frozen dataclasses: that they behave like the standard library's."""

import copy
import dataclasses
import inspect
import pickle
from dataclasses import dataclass, field
from typing import Any

import pytest

from rivetless.frozen import frozen


@frozen
class Point:
    """A point."""

    x: int
    y: int = 0
    tags: list[str] = field(default_factory=list[str])


@frozen
class Pair:
    one: object
    other: object = None


@frozen(kw_only=True)
class Options:
    name: str = "a"
    size: int


@frozen
class Nothing:
    pass


@dataclass(frozen=True, slots=True)
class Standard:
    one: object
    other: object = None


def test_construction() -> None:
    point = Point(1, tags=["a"])
    assert (point.x, point.y, point.tags) == (1, 0, ["a"])
    assert Point(1).tags == []
    assert Point(1).tags is not Point(1).tags
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        Point()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        Point(1, z=2)  # type: ignore[call-arg]
    options = Options(size=3)
    assert (options.name, options.size) == ("a", 3)
    with pytest.raises(TypeError, match="takes 1 positional argument"):
        Options("a", size=3)  # type: ignore[call-arg]


def test_nothing_can_be_assigned() -> None:
    point: Any = Point(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'x'"):
        point.x = 2
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'z'"):
        point.z = 2
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'x'"):
        del point.x
    assert not hasattr(point, "__dict__")


def test_comparison_is_by_fields_and_class() -> None:
    assert Pair(1, 2) == Pair(1, 2)
    assert Pair(1, 2) != Pair(1, 3)
    others: list[object] = [Standard(1, 2), (1, 2), Point(1, 2)]
    assert Pair(1, 2) not in others
    assert Nothing() == Nothing()
    assert len({Pair(1), Pair(1), Pair(2), Nothing(), Nothing()}) == 3
    with pytest.raises(TypeError, match="unhashable"):
        hash(Pair([]))


@pytest.mark.parametrize(
    "value", [Point(1, 2, ["a"]), Pair(Point(3), "é"), Options(size=1), Nothing()]
)
def test_copies_are_equal(value: Any) -> None:
    assert copy.copy(value) == value
    assert copy.deepcopy(value) == value
    assert pickle.loads(pickle.dumps(value)) == value
    assert dataclasses.replace(value) == value


def test_it_is_a_dataclass() -> None:
    assert [one.name for one in dataclasses.fields(Point)] == ["x", "y", "tags"]
    assert dataclasses.replace(Point(1), y=5) == Point(1, 5)
    assert dataclasses.asdict(Point(1)) == {"x": 1, "y": 0, "tags": []}
    assert Point.__doc__ == "A point."
    assert list(inspect.signature(Point).parameters) == ["x", "y", "tags"]
    match Point(1, 2):
        case Point(x, y):
            assert (x, y) == (1, 2)
    assert dataclasses.is_dataclass(Point)


def test_representation_is_the_standard_one() -> None:
    assert repr(Pair(1, "a")) == repr(Standard(1, "a")).replace("Standard", "Pair")
    assert repr(Nothing()) == "Nothing()"


def test_post_init() -> None:
    @frozen
    class Positive:
        number: int

        def __post_init__(self) -> None:
            if self.number <= 0:
                raise ValueError(self.number)

    assert Positive(1).number == 1
    with pytest.raises(ValueError, match="0"):
        Positive(0)
    with pytest.raises(ValueError, match="-1"):
        dataclasses.replace(Positive(1), number=-1)


def test_own_methods_stay() -> None:
    @frozen
    class Named:
        name: str

        @property
        def loud(self) -> str:
            return self.name.upper()

        def __repr__(self) -> str:
            return self.name

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Named) and self.loud == other.loud

        def __hash__(self) -> int:
            return hash(self.loud)

    assert repr(Named("a")) == "a"
    assert len({Named("a"), Named("A")}) == 1


def test_what_is_not_supported_is_refused() -> None:
    with pytest.raises(TypeError, match=r"number takes a dataclass, not `frozen`"):

        @frozen
        class Hidden:
            number: int = field(repr=False)

    with pytest.raises(TypeError, match=r"x takes a dataclass, not `frozen`"):

        @frozen
        class Derived(Point):
            z: int = 0
