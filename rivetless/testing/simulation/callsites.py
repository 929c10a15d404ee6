"""The places in the production code that call a port: which there are, and which were reached.

A simulation proves nothing about code that it has never run. What is looked for is read from the
source, so that a new call counts from the day it is written.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import rivetless
from rivetless.frozen import frozen
from rivetless.testing.simulation.network import Site

__all__ = ["PortCall", "port_calls", "reached"]

_VERBS: Final = frozenset(
    ["load", "current", "commit", "records", "list", "due", "drain", "announce", "hosts", "hosted"]
)
_CALLS: Final = (
    # The folder or file, what the receiver's name ends in, and the names of the methods.
    ("runtime", "store", _VERBS),
    ("runtime", "doorbells", frozenset({"ring"})),
    ("runtime", "pusher", frozenset({"push"})),
    ("hosts/peers.py", "store", _VERBS),
    ("hosts/peers.py", "links", frozenset({"request"})),
    ("gateway/socket.py", "dispatcher", frozenset({"dispatch"})),
    ("gateway/frames.py", "dispatcher", frozenset({"dispatch"})),
    ("store/dynamodb", "caller", frozenset({"call"})),
)
_NOT_SIMULATED: Final = frozenset({"store/dynamodb/setup.py"})
"""Makes the table, which a deployment has done before."""


@frozen
class PortCall:
    """A place that calls a port.

    Attributes:
        file: from ``rivetless/`` on.
        first: the line on which the call begins.
        last: the line on which it ends.
        text: what is called.
    """

    file: str
    first: int
    last: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.first} {self.text}"


def port_calls() -> list[PortCall]:
    """Return all places that call a port and can be reached in a simulation."""
    root = Path(rivetless.__file__).parent
    found: list[PortCall] = []
    for place, receiver, methods in _CALLS:
        path = root / place
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            name = file.relative_to(root).as_posix()
            if name not in _NOT_SIMULATED:
                tree = ast.parse(file.read_text(encoding="utf-8"))
                found += _calls_in(tree, f"rivetless/{name}", receiver, methods)
    return found


def _calls_in(
    tree: ast.AST, file: str, receiver: str, methods: frozenset[str]
) -> Iterator[PortCall]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner = node.func.value
        name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
        if name.lstrip("_") == receiver and node.func.attr in methods:
            last = node.end_lineno or node.lineno
            yield PortCall(file, node.lineno, last, f"{receiver}.{node.func.attr}")


def reached(sites: Iterable[Site]) -> list[PortCall]:
    """Return the places that were reached.

    Args:
        sites: from where calls were made (``Run.sites``).
    """
    lines: dict[str, set[int]] = {}
    for file, line in sites:
        lines.setdefault(file, set()).add(line)
    return [
        call
        for call in port_calls()
        if any(call.first <= line <= call.last for line in lines.get(call.file, ()))
    ]
