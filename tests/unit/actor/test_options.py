"""Options of actor classes."""

from datetime import timedelta
from typing import Any

import pytest

from rivetless import Actor, DefinitionError
from rivetless.actor.base import definition_of
from rivetless.actor.options import OPTION_NAMES, REFUSED, ActorOptions


def define(**options: Any) -> ActorOptions:
    class Room(Actor, **options):
        pass

    return definition_of(Room).options


def test_defaults_are_rivetkits() -> None:
    options = define()
    assert options.action_timeout == 60
    assert options.create_vars_timeout == 5
    assert options.create_conn_state_timeout == 5
    assert options.on_before_connect_timeout == 5
    assert options.on_connect_timeout == 5
    assert options.on_migrate_timeout == 30
    assert options.sleep_timeout == 30
    assert options.sleep_grace_period == 15


COUNTS = [name for name in OPTION_NAMES if name.startswith("max_")]


@pytest.mark.parametrize("name", sorted(set(OPTION_NAMES) - set(COUNTS)))
def test_every_other_option_takes_seconds_or_a_timedelta(name: str) -> None:
    assert getattr(define(**{name: 2}), name) == 2.0
    assert getattr(define(**{name: 0.5}), name) == 0.5
    assert getattr(define(**{name: timedelta(minutes=1)}), name) == 60.0
    assert getattr(define(**{name: None}), name) == getattr(ActorOptions(), name)


@pytest.mark.parametrize("name", COUNTS)
def test_limits_are_numbers(name: str) -> None:
    assert getattr(define(**{name: 2}), name) == 2
    for bad in (0, -1, 0.5, True, "5"):
        with pytest.raises(DefinitionError, match=f"Room: `{name}` takes a number above zero"):
            define(**{name: bad})


@pytest.mark.parametrize(
    "value", [0, -1, "5", True, float("nan"), float("inf"), timedelta(0), [1], timedelta(-1)]
)
def test_bad_values_are_refused(value: object) -> None:
    with pytest.raises(DefinitionError, match="Room: `action_timeout` takes"):
        define(action_timeout=value)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_rivetkits_other_options_are_refused_with_a_reason(name: str) -> None:
    with pytest.raises(DefinitionError, match=f"Room: leave `{name}` out: "):
        define(**{name: 1})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("action_timout", "action_timeout"),
        ("actionTimeout", "action_timeout"),
        ("display_nam", "display_name"),
        ("icn", "icon"),
    ],
)
def test_misspelt_options_are_refused_with_a_suggestion(name: str, meant: str) -> None:
    with pytest.raises(DefinitionError, match=f"no option `{name}`. Did you mean `{meant}`"):
        define(**{name: 1})


def test_options_and_icon_are_inherited_names_are_not() -> None:
    class Base(Actor, abstract=True, action_timeout=7, icon="gear", name="base"):
        pass

    class Child(Base, sleep_timeout=9):
        pass

    class Grandchild(Child, action_timeout=8, icon="bolt", display_name="Grand"):
        pass

    child, grandchild = definition_of(Child), definition_of(Grandchild)
    assert (child.options.action_timeout, child.options.sleep_timeout) == (7, 9)
    assert (child.name, child.icon, child.display_name) == ("child", "gear", None)
    assert (grandchild.options.action_timeout, grandchild.options.sleep_timeout) == (8, 9)
    assert (grandchild.icon, grandchild.display_name) == ("bolt", "Grand")
