"""Functions that end with their test."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.hosts.aws_lambda.functions import Function, MakeFunction


@pytest.fixture
def make_function() -> Iterator[MakeFunction]:
    """Return what makes functions."""
    made: list[Function] = []

    def make(*actors: Any, **options: Any) -> Function:
        made.append(Function(*actors, **options))
        return made[-1]

    yield make
    for function in made:
        function.close()


@pytest.fixture
def function(make_function: MakeFunction) -> Function:
    """Return a function that serves the counter."""
    return make_function()
