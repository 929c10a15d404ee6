"""Reads expressions: the grammar of conditions, updates and projections. What was read is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Generic, NoReturn, TypeVar

from rivetless.testing.simulation.dynamodb.conditions import (
    All,
    Any_,
    BeginsWith,
    Between,
    Comparison,
    Condition,
    Contains,
    Exists,
    Given,
    HasType,
    Not,
    OneOf,
    Operand,
    Size,
)
from rivetless.testing.simulation.dynamodb.errors import invalid
from rivetless.testing.simulation.dynamodb.paths import Path, Scope
from rivetless.testing.simulation.dynamodb.reserved import RESERVED
from rivetless.testing.simulation.dynamodb.tokens import Word, words
from rivetless.testing.simulation.dynamodb.updates import IfNotExists, ListAppend, Sum, Update

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

LONGEST: Final = 4096
"""Bytes of the longest expression."""

MOST_OPERATORS: Final = 300

_SIGNS: Final = frozenset({"=", "<>", "<", "<=", ">", ">="})
_CLAUSES: Final = frozenset({"SET", "REMOVE", "ADD", "DELETE"})
_KEPT: Final = 4096


@dataclass(frozen=True, slots=True)
class Read(Generic[T_co]):
    """An expression that was read.

    Attributes:
        slot: the member of the request that it was.
        tree: what it says.
        names: the placeholders of names in it.
        values: those of values.
    """

    slot: str
    tree: T_co
    names: frozenset[str]
    values: frozenset[str]

    def check(self, scope: Scope) -> None:
        """Refuse placeholders that stand for nothing.

        Raises:
            ServiceError: one does.
        """
        if not scope.names.keys() >= self.names:
            missing = min(self.names - scope.names.keys())
            raise invalid(
                f"Invalid {self.slot}: An expression attribute name used in the document path is "
                f"not defined; attribute name: {missing}"
            )
        if not scope.values.keys() >= self.values:
            missing = min(self.values - scope.values.keys())
            raise invalid(
                f"Invalid {self.slot}: An expression attribute value used in expression is not "
                f"defined; attribute value: {missing}"
            )


@lru_cache(_KEPT)
def condition(slot: str, text: str) -> Read[Condition]:
    """Read a condition, a filter or a key condition.

    Raises:
        ServiceError: it is none.
    """
    return _read(slot, text, _Parser.condition)


@lru_cache(_KEPT)
def update(text: str) -> Read[Update]:
    """Read an update.

    Raises:
        ServiceError: it is none.
    """
    return _read("UpdateExpression", text, _Parser.update)


@lru_cache(_KEPT)
def projection(text: str) -> Read[tuple[Path, ...]]:
    """Read a projection.

    Raises:
        ServiceError: it is none.
    """
    return _read("ProjectionExpression", text, _Parser.paths)


def _read(slot: str, text: str, rule: Callable[[_Parser], T]) -> Read[T]:
    if not text.strip():
        raise invalid(f"Invalid {slot}: The expression can not be empty;")
    size = len(text.encode())
    if size > LONGEST:
        raise invalid(
            f"Invalid {slot}: Expression size has exceeded the maximum allowed size; "
            f"expression size: {size}"
        )
    parser = _Parser(slot, text)
    tree = rule(parser)
    parser.end()
    return Read(slot, tree, frozenset(parser.names), frozenset(parser.values))


class _Parser:
    """Reads one expression from left to right.

    Attributes:
        names: the placeholders of names it has come across.
        values: those of values.
    """

    def __init__(self, slot: str, text: str) -> None:
        self._slot = slot
        self._text = text
        self._words = words(slot, text)
        self._at = 0
        self._operators = 0
        self.names: set[str] = set()
        self.values: set[str] = set()

    # -- words ------------------------------------------------------------------------------------

    @property
    def _next(self) -> Word:
        return self._words[self._at]

    def _is(self, text: str) -> bool:
        return self._words[self._at].text == text

    def _is_word(self, text: str) -> bool:
        word = self._words[self._at]
        return word.kind == "name" and word.text.upper() == text

    def _calls(self) -> bool:
        """Say whether a function's name is next."""
        return self._next.kind == "name" and self._words[self._at + 1].text == "("

    def _step(self) -> Word:
        word = self._words[self._at]
        self._at += 1
        return word

    def _take(self, text: str) -> None:
        if not self._is(text):
            self._fail()
        self._at += 1

    def _take_word(self, text: str) -> None:
        if not self._is_word(text):
            self._fail()
        self._at += 1

    def _fail(self) -> NoReturn:
        """Say where the grammar ends: at this word, between its neighbours."""
        at = self._at
        last = len(self._words) - 2
        first = self._words[max(at - 1, 0)]
        end = self._words[min(at + 1, last)]
        raise invalid(
            f'Invalid {self._slot}: Syntax error; token: "{self._next.text}", '
            f'near: "{self._text[first.start : end.end]}"'
        )

    def _count(self) -> None:
        self._operators += 1
        if self._operators > MOST_OPERATORS:
            raise invalid(
                f"Invalid {self._slot}: The expression contains too many operators; "
                f"operator count: {self._operators}"
            )

    def end(self) -> None:
        """Refuse what is left over."""
        if self._next.kind != "end":
            self._fail()

    # -- paths ------------------------------------------------------------------------------------

    def paths(self) -> tuple[Path, ...]:
        """Read paths with commas between them."""
        found = [self._path()]
        while self._is(","):
            self._at += 1
            found.append(self._path())
        return tuple(found)

    def _path(self) -> Path:
        steps: list[str | int] = [self._name()]
        while True:
            if self._is("."):
                self._at += 1
                steps.append(self._name())
            elif self._is("["):
                self._at += 1
                if not self._next.text.isdigit():
                    self._fail()
                steps.append(int(self._step().text))
                self._take("]")
            else:
                return Path(tuple(steps))

    def _name(self) -> str:
        word = self._next
        if word.kind != "name" or word.text[0].isdigit():
            self._fail()
        if word.text[0] == "#":
            self.names.add(word.text)
        elif word.text.lower() in RESERVED:
            raise invalid(
                f"Invalid {self._slot}: Attribute name is a reserved keyword; "
                f"reserved keyword: {word.text}"
            )
        self._at += 1
        return word.text

    # -- conditions -------------------------------------------------------------------------------

    def condition(self) -> Condition:
        """Read a condition."""
        parts = [self._conjunction()]
        while self._is_word("OR"):
            self._at += 1
            self._count()
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else Any_(tuple(parts))

    def _conjunction(self) -> Condition:
        parts = [self._negation()]
        while self._is_word("AND"):
            self._at += 1
            self._count()
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _negation(self) -> Condition:
        if self._is_word("NOT"):
            self._at += 1
            self._count()
            return Not(self._negation())
        if self._is("("):
            self._at += 1
            twice = self._is("(")
            found = self.condition()
            if twice and self._words[self._at - 1].text == ")" and self._closes_at_once():
                raise invalid(f"Invalid {self._slot}: The expression has redundant parentheses;")
            self._take(")")
            return found
        if self._calls() and self._next.text.lower() != "size":
            return self._test()
        return self._comparison()

    def _closes_at_once(self) -> bool:
        """Say whether all that an opened parenthesis holds is another pair of them."""
        depth = 0
        for at in range(self._at - 1, -1, -1):
            text = self._words[at].text
            depth += (text == ")") - (text == "(")
            if depth == 0:
                return self._words[at - 1].text == "(" and self._is(")")
        return False

    def _comparison(self) -> Condition:
        left = self._operand()
        self._count()
        sign = self._next.text
        if sign in _SIGNS:
            self._at += 1
            return Comparison(sign, left, self._operand())
        if self._is_word("BETWEEN"):
            self._at += 1
            low = self._operand()
            self._take_word("AND")
            return Between(left, low, self._operand())
        if self._is_word("IN"):
            self._at += 1
            self._take("(")
            members = [self._operand()]
            while self._is(","):
                self._at += 1
                members.append(self._operand())
            self._take(")")
            return OneOf(left, tuple(members))
        self._fail()

    def _test(self) -> Condition:
        name = self._step().text
        self._count()
        self._take("(")
        path = self._path()
        found: Condition
        match name:
            case "attribute_exists" | "attribute_not_exists":
                found = Exists(path, name == "attribute_exists")
            case "attribute_type":
                found = HasType(path, self._second())
            case "begins_with":
                found = BeginsWith(path, self._second())
            case "contains":
                found = Contains(path, self._second())
            case _:
                raise invalid(f"Invalid {self._slot}: Invalid function name; function: {name}")
        self._take(")")
        return found

    def _second(self) -> Operand:
        self._take(",")
        return self._operand()

    def _operand(self) -> Operand:
        if self._next.kind == "value":
            return self._given()
        if not self._calls():
            return self._path()
        name = self._step().text
        if name != "size":
            raise invalid(
                f"Invalid {self._slot}: The function is not allowed to be used this way in an "
                f"expression; function: {name}"
            )
        self._count()
        self._take("(")
        path = self._path()
        self._take(")")
        return Size(path)

    def _given(self) -> Given:
        if self._next.kind != "value":
            self._fail()
        name = self._step().text
        self.values.add(name)
        return Given(name)

    # -- updates ----------------------------------------------------------------------------------

    def update(self) -> Update:
        """Read an update."""
        sets: list[tuple[Path, Operand]] = []
        removes: list[Path] = []
        adds: list[tuple[Path, Given]] = []
        deletes: list[tuple[Path, Given]] = []
        seen: set[str] = set()
        while True:
            clause = self._next.text.upper()
            if self._next.kind != "name" or clause not in _CLAUSES:
                self._fail()
            self._at += 1
            if clause in seen:
                raise invalid(
                    f'Invalid {self._slot}: The "{clause}" section can only be used once in an '
                    "update expression;"
                )
            seen.add(clause)
            match clause:
                case "SET":
                    self._listed(sets, self._assignment)
                case "REMOVE":
                    self._listed(removes, self._removal)
                case "ADD":
                    self._listed(adds, self._amount)
                case _:
                    self._listed(deletes, self._amount)
            if self._is("<EOF>"):
                return Update(tuple(sets), tuple(removes), tuple(adds), tuple(deletes))

    def _listed(self, found: list[T], rule: Callable[[], T]) -> None:
        found.append(rule())
        while self._is(","):
            self._at += 1
            found.append(rule())

    def _removal(self) -> Path:
        self._count()
        return self._path()

    def _amount(self) -> tuple[Path, Given]:
        self._count()
        path = self._path()
        return path, self._given()

    def _assignment(self) -> tuple[Path, Operand]:
        self._count()
        path = self._path()
        self._take("=")
        left = self._term()
        for text, sign in (("+", 1), ("-", -1)):
            if self._is(text):
                self._at += 1
                self._count()
                return path, Sum(left, self._term(), sign)
        return path, left

    def _term(self) -> Operand:
        if self._is("("):
            self._at += 1
            found = self._term()
            for text, sign in (("+", 1), ("-", -1)):
                if self._is(text):
                    self._at += 1
                    found = Sum(found, self._term(), sign)
                    break
            self._take(")")
            return found
        if self._next.kind == "value":
            return self._given()
        if not self._calls():
            return self._path()
        name = self._step().text
        self._count()
        self._take("(")
        found = self._function(name)
        self._take(")")
        return found

    def _function(self, name: str) -> Operand:
        if name == "if_not_exists":
            path = self._path()
            self._take(",")
            return IfNotExists(path, self._term())
        if name == "list_append":
            left = self._term()
            self._take(",")
            return ListAppend(left, self._term())
        raise invalid(f"Invalid {self._slot}: Invalid function name; function: {name}")
