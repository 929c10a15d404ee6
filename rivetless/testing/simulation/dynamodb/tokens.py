"""Expressions cut into words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from rivetless.testing.simulation.dynamodb.errors import invalid

_WORDS: Final = re.compile(
    r"\s*(?:(?P<sign><>|<=|>=|[=<>(),.\[\]+-])|(?P<name>#?[A-Za-z0-9_]+)|(?P<value>:[A-Za-z0-9_]+))"
)


@dataclass(frozen=True, slots=True)
class Word:
    """A word of an expression.

    Attributes:
        kind: ``"sign"``, ``"name"``, ``"value"`` or ``"end"``.
        text: as it is written.
        start: where it begins.
        end: where it ends.
    """

    kind: str
    text: str
    start: int
    end: int


def words(slot: str, text: str) -> list[Word]:
    """Cut an expression into words; the last one is its end.

    Raises:
        ServiceError: something in it is no word.
    """
    found: list[Word] = []
    at = 0
    length = len(text.rstrip())
    while at < length:
        match = _WORDS.match(text, at)
        if match is None or match.lastgroup is None:
            rest = text[at:].lstrip()
            raise invalid(f'Invalid {slot}: Syntax error; token: "{rest[:1]}", near: "{rest[:2]}"')
        kind = match.lastgroup
        found.append(Word(kind, match[kind], match.start(kind), match.end(kind)))
        at = match.end()
    found.append(Word("end", "<EOF>", len(text), len(text)))
    return found
