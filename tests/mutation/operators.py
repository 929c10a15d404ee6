"""What a small mistake in a function may look like: one change of its syntax tree for each.

Only bodies of functions are changed: not what a module or a class does as it is loaded, not
defaults, decorators and annotations. Text for people is left alone, by two rules: a string with a
space in it is text, and so is whatever is given to a logger.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

Node = TypeVar("Node", bound=ast.AST)

COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
NEGATING: Final = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
CALLS: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}
NOT_RUN: Final = frozenset({"annotation", "args", "returns", "decorator_list", "format_spec"})
"""Fields of nodes that are not looked into."""

FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Mutant:
    """A change of one function.

    Attributes:
        function: its qualified name; that of the outermost one, where some lie in others.
        starts: the function's first line, that of its first decorator.
        ends: its last one.
        line: where the change is.
        lines: those of which the tests that run them are the tests for this mutant.
        was: what stood there.
        now: what stands there instead.
        nth: which of those of the function that read the same, from 1.
        place: the node that is changed, its field, and the place in a list.
        put: what is put there.
    """

    function: str
    starts: int
    ends: int
    line: int
    lines: range
    was: str
    now: str
    nth: int
    place: tuple[ast.AST, str, int | None]
    put: ast.AST

    @property
    def name(self) -> str:
        """What tells it from others, wherever in the file it is by now."""
        nth = f" ({self.nth})" if self.nth > 1 else ""
        return f"{self.function}: {self.was} -> {self.now}{nth}"

    def make(self) -> None:
        """Change the tree, for good."""
        node, field, index = self.place
        if index is None:
            setattr(node, field, self.put)
        else:
            getattr(node, field)[index] = self.put


def mutants_of(tree: ast.Module) -> Iterator[Mutant]:
    """Find the mutants of a module."""
    for name, function in _outermost(tree, ""):
        alike: Counter[tuple[str, str]] = Counter()
        starts = min([function.lineno, *(one.lineno for one in function.decorator_list)])
        ends = function.end_lineno or starts
        for place, node, lines in _nodes(function, range(0)):
            for put in _instead(node, place[0]):
                was, now = _shown(node), _shown(put)
                alike[was, now] += 1
                nth = alike[was, now]
                yield Mutant(name, starts, ends, node.lineno, lines, was, now, nth, place, put)


def _outermost(
    tree: ast.Module | ast.ClassDef, prefix: str
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in tree.body:
        if isinstance(node, FUNCTIONS):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _outermost(node, f"{prefix}{node.name}.")


def _nodes(
    parent: ast.AST, lines: range
) -> Iterator[tuple[tuple[ast.AST, str, int | None], ast.stmt | ast.expr, range]]:
    """Find the nodes that run, and the lines by which to tell that they have."""
    for field, value in ast.iter_fields(parent):
        if field in NOT_RUN and not isinstance(parent, ast.Call):
            continue
        many = isinstance(value, list)
        for index, node in enumerate(value if many else [value]):
            if not isinstance(node, ast.AST):
                continue
            around = _head(node) if isinstance(node, ast.stmt) else lines
            if isinstance(node, ast.stmt | ast.expr) and not _is_text(node):
                yield (parent, field, index if many else None), node, around
            if not _is_text(node):
                yield from _nodes(node, around)


def _head(node: ast.stmt) -> range:
    """Return the lines of a statement without those of the statements in it."""
    body: list[ast.stmt] = getattr(node, "body", [])
    end = body[0].lineno - 1 if body else (node.end_lineno or node.lineno)
    return range(node.lineno, max(end, node.lineno) + 1)


def _is_text(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=str(value)):
            return " " in value
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Attribute(attr="log")))):
            return True
        case _:
            return False


def _instead(node: ast.stmt | ast.expr, parent: ast.AST) -> Iterator[ast.AST]:
    """What may stand where a node stands."""
    if isinstance(node, ast.stmt):
        yield from _other_statements(node)
        return
    yield from _other_expressions(node)
    is_condition = isinstance(parent, ast.If | ast.While | ast.IfExp) and node is parent.test
    if (is_condition or (isinstance(parent, ast.comprehension) and node in parent.ifs)) and not (
        isinstance(node, ast.Constant)
        or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not))
        or (isinstance(node, ast.Compare) and all(isinstance(op, NEGATING) for op in node.ops))
    ):
        yield ast.UnaryOp(ast.Not(), node)


def _other_statements(node: ast.stmt) -> Iterator[ast.stmt]:
    match node:
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.Raise() | ast.Delete():
            yield _never(node)
        case ast.Continue() | ast.Break() | ast.Return(value=None):
            yield _never(node)
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield _never(node)
        case ast.AugAssign():
            yield _never(node)
            if (other := ARITHMETIC.get(type(node.op))) is not None:
                yield _with(node, op=other())
        case ast.Return(value=ast.expr() as value):
            # Without `super` a function would have no cell for its class, and could not be planted.
            calls_super = any(isinstance(n, ast.Name) and n.id == "super" for n in ast.walk(value))
            # Whoever asks a question takes `None` for `False`.
            same = isinstance(value, ast.Constant) and value.value in (None, False)
            if not (same or calls_super):
                yield _with(node, value=ast.Constant(None))
        case _:
            return


def _other_expressions(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.Compare():
            for index, operator in enumerate(node.ops):
                ops = [*node.ops]
                ops[index] = COMPARISONS[type(operator)]()
                yield _with(node, ops=ops)
        case ast.BoolOp():
            yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.BinOp() if type(node.op) in ARITHMETIC:
            yield _with(node, op=ARITHMETIC[type(node.op)]())
        case ast.Call(func=ast.Name(id=name)) if name in CALLS:
            yield _with(node, func=ast.Name(CALLS[name], ast.Load()))
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield ast.Constant(value + 1)
        case ast.Constant(value=str(value)):
            yield ast.Constant(f"{value}~")
        case ast.Constant(value=bytes(value)):
            yield ast.Constant(value + b"~")
        case _:
            return


def _never(node: ast.stmt) -> ast.stmt:
    """Return a statement that is not run. It stays, so that names remain what they are."""
    return ast.If(ast.Constant(False), [node], [])


def _with(node: Node, **fields: object) -> Node:
    other = copy.copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


def _shown(node: ast.AST) -> str:
    if isinstance(node, ast.If) and isinstance(node.test, ast.Constant):
        return "nothing"
    if isinstance(node, ast.UnaryOp) and not isinstance(node.operand, ast.Name):
        return f"not ({ast.unparse(node.operand)})"
    return ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).replace("\n", " ")
