"""Requests to DynamoDB by chance: whatever an expression can say, not only what the store says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from hypothesis import strategies as st

from rivetless.aws.client import Payload

Draw: TypeAlias = Callable[[st.SearchStrategy[Any]], Any]
Value: TypeAlias = dict[str, Any]
Request: TypeAlias = tuple[str, Payload]

INDEXES: Final = {"wide": ("g", "r"), "narrow": ("g", None)}
"""Their keys; the first one shows all of an item, the other its keys."""


def definition(table: str) -> Payload:
    """Return the table that the requests are for."""

    def keys(hashed: str, ranged: str | None) -> list[Value]:
        found = [{"AttributeName": hashed, "KeyType": "HASH"}]
        return found + ([{"AttributeName": ranged, "KeyType": "RANGE"}] if ranged else [])

    types = {"p": "S", "s": "N", "g": "S", "r": "B"}
    return {
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": kind} for name, kind in types.items()
        ],
        "KeySchema": keys("p", "s"),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": name,
                "KeySchema": keys(*INDEXES[name]),
                "Projection": {"ProjectionType": "ALL" if name == "wide" else "KEYS_ONLY"},
            }
            for name in INDEXES
        ],
    }


# -- values --------------------------------------------------------------------------------------

TEXTS: Final = st.sampled_from(["", "a", "ab", "b", "é", "𝄞"])
NUMBERS: Final = st.sampled_from(["0", "1", "-1", "1.5", "10", "9", "1e2", "0.10", "-0", "+2"])
BYTES: Final = st.sampled_from([b"", b"a", b"ab", b"\xff"])


def _some(of: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(of, min_size=1, max_size=3, unique=True)


ORDERED: Final = st.one_of(
    TEXTS.map(lambda data: {"S": data}),
    NUMBERS.map(lambda data: {"N": data}),
    BYTES.map(lambda data: {"B": data}),
)
SIMPLE: Final = st.one_of(
    ORDERED,
    st.booleans().map(lambda data: {"BOOL": data}),
    st.just({"NULL": True}),
)
SETS: Final = st.one_of(
    _some(TEXTS).map(lambda data: {"SS": data}),
    _some(st.sampled_from(["1", "2", "10", "-1.5"])).map(lambda data: {"NS": data}),
    _some(BYTES).map(lambda data: {"BS": data}),
)
VALUES: Final[st.SearchStrategy[Value]] = st.recursive(
    st.one_of(SIMPLE, SETS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda data: {"L": data}),
        st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2).map(
            lambda data: {"M": data}
        ),
    ),
    max_leaves=4,
)
NAMES: Final = ("x", "y", "n", "t", "l", "m", "z", "u", "v", "w")
"""Attributes that are no keys; most of the time each has values of one kind."""

USUAL: Final = {
    "x": VALUES,
    "y": SIMPLE,
    "n": NUMBERS.map(lambda data: {"N": data}),
    "t": TEXTS.map(lambda data: {"S": data}),
    "l": st.lists(SIMPLE, max_size=3).map(lambda data: {"L": data}),
    "m": st.dictionaries(st.sampled_from(["x", "y"]), VALUES, max_size=2).map(
        lambda data: {"M": data}
    ),
    "z": SETS,
    "u": NUMBERS.map(lambda data: {"N": data}),
    "v": VALUES,
    "w": TEXTS.map(lambda data: {"S": data}),
}
HASHES: Final = st.sampled_from(["a", "b"])
RANGES: Final = st.sampled_from(["1", "2", "10"])
GROUPS: Final = st.sampled_from(["g1", "g2"])
PLACES: Final = st.sampled_from([b"\0", b"a", b"\xff"])


def key(draw: Draw) -> Value:
    """Draw an item's key."""
    return {"p": {"S": draw(HASHES)}, "s": {"N": draw(RANGES)}}


def item(draw: Draw) -> Value:
    """Draw an item."""
    found = key(draw)
    if draw(st.booleans()):
        found["g"] = {"S": draw(GROUPS)}
    if draw(st.booleans()):
        found["r"] = {"B": draw(PLACES)}
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True)):
        found[name] = draw(USUAL[name])
    return found


# -- expressions ---------------------------------------------------------------------------------


class Words:
    """Draws the expressions of one request, and remembers what its placeholders stand for.

    Args:
        draw: draws.
    """

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._free = list(NAMES)
        self.values: dict[str, Value] = {}
        self.names: dict[str, str] = {}

    def given(self, value: Value) -> str:
        """Return a placeholder of a value."""
        name = f":v{len(self.values)}"
        self.values[name] = value
        return name

    def name(self, name: str) -> str:
        """Return an attribute's name, or a placeholder of it."""
        if not self._draw(st.booleans()):
            return name
        self.names[f"#{name}"] = name
        return f"#{name}"

    def path(self, first: str | None = None) -> str:
        """Draw a path."""
        draw = self._draw
        first = first or draw(st.sampled_from(NAMES))
        path = self.name(first)
        if first in "mx" and draw(st.booleans()):
            path += "." + self.name(draw(st.sampled_from(["x", "y"])))
        if first in "lx" and draw(st.booleans()):
            path += f"[{draw(st.sampled_from([0, 1, 5]))}]"
        return path

    def some_value(self, name: str | None = None) -> str:
        """Draw a value, of the kind that an attribute usually has if one is named."""
        return self.given(self._draw(VALUES if name is None else USUAL[name]))

    def operand(self) -> str:
        """Draw what is compared."""
        match self._draw(st.integers(0, 5)):
            case 0:
                return f"size({self.path()})"
            case 1 | 2:
                return self.path()
            case _:
                return self.given(self._draw(st.one_of(SIMPLE, VALUES)))

    def _ordered(self) -> str:
        """Draw what has an order, or may have one."""
        match self._draw(st.integers(0, 5)):
            case 0:
                return f"size({self.path()})"
            case 1:
                return self.path()
            case _:
                return self.given(self._draw(ORDERED))

    def condition(self, depth: int = 2) -> str:
        """Draw a condition."""
        draw = self._draw
        kind = draw(st.integers(0, 10 if depth else 7))
        name = draw(st.sampled_from(NAMES))
        match kind:
            case 0:
                return f"attribute_exists({self.path()})"
            case 1:
                return f"attribute_not_exists({self.path()})"
            case 2:
                types = st.sampled_from(["S", "N", "B", "SS", "NS", "BS", "BOOL", "NULL", "L", "M"])
                return f"attribute_type({self.path()}, {self.given({'S': draw(types)})})"
            case 3:
                text = draw(st.sampled_from([{"S": ""}, {"S": "a"}, {"B": b"a"}, {"N": "1"}]))
                return f"begins_with({self.path(draw(st.sampled_from('tyx')))}, {self.given(text)})"
            case 4:
                return f"contains({self.path()}, {self.given(draw(SIMPLE))})"
            case 5:
                return f"{self.path(name)} BETWEEN {self._ordered()} AND {self._ordered()}"
            case 6:
                path = self.path(name)
                members = ", ".join(self.operand() for _ in range(draw(st.integers(1, 3))))
                # To the local AWS what is not there is equal to what is not there either.
                return f"(attribute_exists({path}) AND {path} IN ({members}))"
            case 7:
                if draw(st.booleans()):
                    sign = draw(st.sampled_from(["<", "<=", ">", ">="]))
                    return f"{self.path(name)} {sign} {self._ordered()}"
                path, sign = self.path(name), draw(st.sampled_from(["=", "<>"]))
                if draw(st.booleans()):
                    return f"{path} {sign} {self.some_value(name)}"
                return f"(attribute_exists({path}) AND {path} {sign} {self.operand()})"
            case 8:
                return f"NOT {self.condition(depth - 1)}"
            case _:
                word = "AND" if kind == 9 else "OR"
                one, other = self.condition(depth - 1), self.condition(depth - 1)
                joined = f"{one} {word} {other}"
                return f"({joined})" if draw(st.booleans()) else joined

    def update(self) -> str:
        """Draw an update expression; no two of its paths overlap."""
        draw = self._draw
        clauses: list[str] = []
        kinds = st.lists(
            st.sampled_from(["SET", "REMOVE", "ADD", "DELETE"]), min_size=1, unique=True
        )
        for kind in draw(kinds):
            parts: list[str] = []
            for _ in range(draw(st.integers(1, 2))):
                match kind:
                    case "SET":
                        parts.append(self._assignment())
                    case "REMOVE":
                        parts.append(self._target(self._take()))
                    case "ADD":
                        parts.append(self._amount("nuzx", st.one_of(USUAL["n"], SETS)))
                    case _:
                        parts.append(self._amount("zx", SETS))
            clauses.append(f"{kind} {', '.join(parts)}")
        return " ".join(clauses)

    def _take(self, of: str = "") -> str:
        """Draw an attribute that is not written yet, of some if there is one among them."""
        names = [name for name in self._free if name in of] or self._free
        name: str = self._draw(st.sampled_from(names))
        self._free.remove(name)
        return name

    def _target(self, name: str) -> str:
        """Draw what of an attribute is written: mostly the whole, for parts may not be there."""
        return self.path(name) if self._draw(st.integers(0, 3)) == 0 else self.name(name)

    def _amount(self, of: str, amounts: st.SearchStrategy[Value]) -> str:
        return f"{self.name(self._take(of))} {self.given(self._draw(amounts))}"

    def _assignment(self) -> str:
        draw = self._draw
        match draw(st.integers(0, 7)):
            case 0:
                name = self._take("nu")
                return f"{name} = {name} {draw(st.sampled_from('+-'))} {self.some_value('n')}"
            case 1:
                name = self._take()
                other = self.some_value(name)
                return f"{self._target(name)} = if_not_exists({self.path()}, {other})"
            case 2:
                name = self._take("l")
                pair = [self.path(name), self.some_value("l")]
                return f"{name} = list_append({', '.join(draw(st.permutations(pair)))})"
            case 3:
                name = self._take("n")
                start = f"if_not_exists({name}, {self.given({'N': '0'})})"
                return f"{name} = {start} + {self.some_value('n')}"
            case 4:
                return f"{self._target(self._take())} = {self.path()}"
            case _:
                name = self._take()
                return f"{self._target(name)} = {self.some_value(name)}"

    def projection(self) -> str:
        """Draw a projection."""
        names = st.lists(st.sampled_from((*NAMES, "p", "g")), min_size=1, max_size=3, unique=True)
        return ", ".join(self.path(name) for name in self._draw(names))

    def close(self, request: Payload) -> Payload:
        """Return a request with what its placeholders stand for."""
        if self.names:
            request["ExpressionAttributeNames"] = self.names
        if self.values:
            request["ExpressionAttributeValues"] = self.values
        return request


# -- requests ------------------------------------------------------------------------------------


def _written(draw: Draw, table: str, kind: str) -> Payload:
    """Draw a write: an operation's payload, or a part of a transaction."""
    words = Words(draw)
    request: Payload = {"TableName": table}
    if kind == "Put":
        request["Item"] = item(draw)
    else:
        request["Key"] = key(draw)
    if kind == "Update":
        request["UpdateExpression"] = words.update()
    if kind == "ConditionCheck" or draw(st.integers(0, 2)) == 0:
        request["ConditionExpression"] = words.condition()
        if draw(st.booleans()):
            request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    return words.close(request)


def write(draw: Draw, table: str) -> Request:
    """Draw a write of one item."""
    kind = draw(st.sampled_from(["Put", "Put", "Update", "Update", "Update", "Delete"]))
    request = _written(draw, table, kind)
    returns = ["NONE", "ALL_OLD"]
    if kind == "Update":
        returns += ["ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"]
    request["ReturnValues"] = draw(st.sampled_from(returns))
    return f"{kind}Item", request


def read(draw: Draw, table: str) -> Request:
    """Draw a read of one item."""
    words = Words(draw)
    request: Payload = {"TableName": table, "Key": key(draw), "ConsistentRead": True}
    if draw(st.booleans()):
        request["ProjectionExpression"] = words.projection()
    return "GetItem", words.close(request)


def query(draw: Draw, table: str) -> Request:
    """Draw a query of the table, or of an index."""
    words = Words(draw)
    request: Payload = {"TableName": table}
    index = draw(st.sampled_from([None, None, *INDEXES]))
    hashed, ranged = ("p", "s") if index is None else INDEXES[index]
    if index is None:
        request["ConsistentRead"] = True
        first = {"S": draw(HASHES)}
    else:
        request["IndexName"] = index
        first = {"S": draw(GROUPS)}
    condition = f"{words.name(hashed)} = {words.given(first)}"
    if ranged is not None and draw(st.booleans()):
        condition += f" AND {_bound(draw, words, ranged)}"
    request["KeyConditionExpression"] = condition
    # The local AWS filters by what is not in an index too.
    if index != "narrow" and draw(st.booleans()):
        request["FilterExpression"] = words.condition()
    if draw(st.integers(0, 3)) == 0:
        request["ProjectionExpression"] = words.projection()
    elif draw(st.integers(0, 5)) == 0:
        request["Select"] = "COUNT"
    if draw(st.booleans()):
        request["ScanIndexForward"] = draw(st.booleans())
    if draw(st.booleans()):
        request["Limit"] = draw(st.integers(1, 3))
    return "Query", words.close(request)


def _bound(draw: Draw, words: Words, name: str) -> str:
    def value() -> str:
        return words.given({"N": draw(RANGES)} if name == "s" else {"B": draw(PLACES)})

    path = words.name(name)
    match draw(st.integers(0, 3)):
        case 0:
            return f"{path} BETWEEN {value()} AND {value()}"
        case 1 if name == "r":
            return f"begins_with({path}, {value()})"
        case _:
            return f"{path} {draw(st.sampled_from(['=', '<', '<=', '>', '>=']))} {value()}"


def batch_read(draw: Draw, table: str) -> Request:
    """Draw a batch of reads."""
    words = Words(draw)
    keys = [key(draw) for _ in range(draw(st.integers(1, 4)))]
    part: Payload = {"Keys": keys, "ConsistentRead": True}
    if draw(st.booleans()):
        part["ProjectionExpression"] = "p, s, " + words.projection()
    return "BatchGetItem", {"RequestItems": {table: words.close(part)}}


def batch_write(draw: Draw, table: str) -> Request:
    """Draw a batch of writes."""
    parts: list[Payload] = []
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            parts.append({"PutRequest": {"Item": item(draw)}})
        else:
            parts.append({"DeleteRequest": {"Key": key(draw)}})
    return "BatchWriteItem", {"RequestItems": {table: parts}}


def transaction(draw: Draw, table: str) -> Request:
    """Draw a transaction."""
    kinds = st.sampled_from(["Put", "Update", "Update", "Delete", "ConditionCheck"])
    parts: list[Payload] = []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(kinds)
        parts.append({kind: _written(draw, table, kind)})
    request: Payload = {"TransactItems": parts}
    if draw(st.integers(0, 3)) == 0:
        request["ClientRequestToken"] = draw(st.sampled_from(["one", "two"]))
    return "TransactWriteItems", request


@st.composite
def requests(draw: Draw, table: str) -> list[Request]:
    """Draw requests that follow each other."""
    ways = st.sampled_from(
        [write, write, write, write, read, query, query, batch_read, batch_write, transaction]
    )
    return [draw(ways)(draw, table) for _ in range(draw(st.integers(5, 25)))]
