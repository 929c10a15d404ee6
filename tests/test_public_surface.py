"""A name becomes public, or stops being so, only in a diff that shows it."""

from pathlib import Path

import pytest

import rivetless

SURFACE = Path(__file__).with_name("public_surface.txt").read_text(encoding="utf-8").split()


def test_all_is_the_public_surface() -> None:
    assert sorted(rivetless.__all__) == sorted(SURFACE), "update tests/public_surface.txt too"


def test_all_is_sorted() -> None:
    # As ruff sorts it (RUF022): constants, classes, the rest.
    def order(name: str) -> tuple[bool, bool, str]:
        return (not name.isupper(), not name[0].isupper(), name)

    assert list(rivetless.__all__) == sorted(rivetless.__all__, key=order)


@pytest.mark.parametrize("name", SURFACE)
def test_public_name_exists(name: str) -> None:
    assert getattr(rivetless, name) is not None


@pytest.mark.parametrize("name", SURFACE)
def test_public_name_is_documented(name: str) -> None:
    exported = getattr(rivetless, name)
    if callable(exported):
        assert exported.__doc__, f"{name} has no docstring"
