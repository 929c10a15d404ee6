"""Processes that reach each other's sockets: signatures, envelopes, order, heartbeats."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urldefrag

import pytest

from rivetless.errors import ActorError
from rivetless.gateway.frames import Wire
from rivetless.gateway.outbox import Outbox, Tasks
from rivetless.gateway.table import SocketTable
from rivetless.hosts.announcement import HEARTBEAT, LIFETIME
from rivetless.hosts.envelopes import (
    CBOR_TYPE,
    JSON_TYPE,
    read_gone,
    read_hints,
    read_pushes,
    write_gone,
    write_hints,
    write_pushes,
)
from rivetless.hosts.gossip import Gossip
from rivetless.hosts.links import RefusedError
from rivetless.hosts.listener import ConnectionsApp
from rivetless.hosts.ordering import MIXED, WINDOW, Sequencer
from rivetless.hosts.passes import TTL, Passes, matches
from rivetless.hosts.peers import Peers
from rivetless.protocol.codec import JSON
from rivetless.protocol.json_codec import json_dumps
from rivetless.runtime.ports import ClosePush, EventPush, Hint, Push, RawPush, Topic
from rivetless.store.base import Store
from rivetless.store.memory import MemoryStore
from rivetless.testing.clock import FakeClock, settle
from rivetless.testing.stores import Fault, FaultyStore

SECRET = b"a secret of sixteen"
ACTOR = "3m2a1y1fsi4k286dhd0yiynz9ahirs"


def push(version: int, index: int = 0, actor: str = ACTOR, conn: str = "c") -> Push:
    return Push(actor, version, index, EventPush("e", (version, index)), (conn,))


# -- envelopes ------------------------------------------------------------------------------------

PUSHES = [
    Push(ACTOR, 7, 0, EventPush("changed", (1, b"\x00", {"a": {1, 2}}, None, 2**70)), ("a", "b")),
    Push(ACTOR, 7, 1, RawPush("text"), ("c",)),
    Push(ACTOR, 7, 2, RawPush(b"bytes"), ("c",)),
    Push(ACTOR, 7, 3, ClosePush(4000, "why", forget=True), ("d",)),
]


def test_pushes_survive_the_way() -> None:
    content_type, body = write_pushes(PUSHES)

    assert content_type == CBOR_TYPE
    back = read_pushes(content_type, body)
    assert back[1:] == PUSHES[1:]
    assert back[0].content == EventPush("changed", [1, b"\x00", {"a": {1, 2}}, None, 2**70])


def test_dates_stay_dates() -> None:
    at = datetime(2024, 5, 1, tzinfo=UTC)
    _, body = write_pushes([Push(ACTOR, 1, 0, EventPush("e", (at,)), ())])

    content = read_pushes(CBOR_TYPE, body)[0].content
    assert isinstance(content, EventPush)
    assert content.args == [at]


def test_json_is_read_too() -> None:
    body = json_dumps([[ACTOR, 7, 1, ["c"], "raw", b"bytes"]])

    assert read_pushes(JSON_TYPE, body)[0].content == RawPush(b"bytes")


@pytest.mark.parametrize(
    "document",
    [
        None,
        {},
        [1],
        [[]],
        [[ACTOR, 1, 0, ["c"], "nope"]],
        [[ACTOR, 1, 0, ["c"], "event", "e"]],
        [[ACTOR, 1, 0, ["c"], "event", "e", 5]],
        [[ACTOR, 1, 0, ["c"], "raw", 5]],
        [[ACTOR, "1", 0, ["c"], "raw", "x"]],
        [[ACTOR, 1, 0, [5], "raw", "x"]],
        [[ACTOR, 1, 0, ["c"], "close", "x", "y", True]],
    ],
)
def test_malformed_pushes(document: Any) -> None:
    with pytest.raises(ActorError, match=r"invalid_request"):
        read_pushes(JSON_TYPE, json.dumps(document).encode())


def test_other_content_types() -> None:
    with pytest.raises(ActorError, match=r"encoding\.invalid"):
        read_pushes("text/plain", b"")


@pytest.mark.parametrize("content_type", [CBOR_TYPE, JSON_TYPE])
def test_answers(content_type: str) -> None:
    gone = frozenset({"a", "b"})

    assert read_gone(content_type, write_gone(content_type, gone)) == gone
    with pytest.raises(ActorError):
        read_gone(JSON_TYPE, b"[5]")


# -- passes ---------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def admits(
    passes: Passes, headers: Sequence[tuple[str, str]], method: str = "POST", path: str = "/p"
) -> bool:
    given = dict(headers)
    return passes.admits(given["authorization"], given["x-rivetless-body"], method, path)


def test_a_pass_lets_in_once(clock: FakeClock) -> None:
    here, there = Passes(SECRET, "here", clock), Passes(SECRET, "there", clock)
    headers = here.sign("there", "POST", "/p", b"body")

    assert admits(there, headers)
    assert not admits(there, headers)
    assert matches(b"body", dict(headers)["x-rivetless-body"])
    assert not matches(b"other", dict(headers)["x-rivetless-body"])


def test_a_pass_is_for_one_host_one_path_one_method(clock: FakeClock) -> None:
    here, there = Passes(SECRET, "here", clock), Passes(SECRET, "there", clock)
    headers = here.sign("there", "POST", "/p", b"")

    assert not admits(here, headers)
    assert not admits(there, headers, path="/q")
    assert not admits(there, headers, method="GET")
    assert not admits(Passes(b"another secret here", "there", clock), headers)
    assert admits(there, headers)


async def test_a_pass_expires(clock: FakeClock) -> None:
    here, there = Passes(SECRET, "here", clock), Passes(SECRET, "there", clock)
    headers = here.sign("there", "POST", "/p", b"")
    await clock.advance(TTL + 1)

    assert not admits(there, headers)


async def test_a_pass_from_a_clock_far_ahead_is_refused(clock: FakeClock) -> None:
    ahead = FakeClock(clock.now() + 10 * TTL)
    headers = Passes(SECRET, "here", ahead).sign("there", "POST", "/p", b"")

    assert not admits(Passes(SECRET, "there", clock), headers)


def test_passes_may_overtake_each_other(clock: FakeClock) -> None:
    here, there = Passes(SECRET, "here", clock), Passes(SECRET, "there", clock)
    signed = [here.sign("there", "POST", "/p", b"") for _ in range(1100)]

    assert admits(there, signed[5])
    assert admits(there, signed[3])
    assert admits(there, signed[1099])
    assert not admits(there, signed[3])
    assert admits(there, signed[100])
    assert not admits(there, signed[100])
    # Too old to tell: refused rather than taken twice.
    assert not admits(there, signed[50])


async def test_senders_are_forgotten(clock: FakeClock) -> None:
    there = Passes(SECRET, "there", clock)
    for number in range(5):
        assert admits(there, Passes(SECRET, f"h{number}", clock).sign("there", "POST", "/p", b""))
    assert len(there._senders) == 5
    await clock.advance(10 * TTL)
    assert admits(there, Passes(SECRET, "new", clock).sign("there", "POST", "/p", b""))
    assert len(there._senders) == 1


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer x", "Rivetless", "Rivetless x", "Rivetless 1.2.3", "Rivetless é.1.2", "x" * 999],
)
def test_what_is_no_pass(clock: FakeClock, authorization: str) -> None:
    assert not Passes(SECRET, "there", clock).admits(authorization, "", "POST", "/p")


# -- order ----------------------------------------------------------------------------------------


class Delivered:
    """Where a sequencer delivers to."""

    def __init__(self, clock: FakeClock) -> None:
        self.pushes: list[Push] = []
        self.sequencer = Sequencer(self.deliver, clock)

    def deliver(self, pushes: Sequence[Push]) -> frozenset[str]:
        self.pushes += pushes
        return frozenset(conn for push in pushes for conn in push.conns if conn == "gone")

    @property
    def order(self) -> list[tuple[int, int]]:
        return [(push.version, push.index) for push in self.pushes]


async def test_one_process_is_never_held(clock: FakeClock) -> None:
    here = Delivered(clock)

    assert await here.sequencer.local([push(5), push(9, conn="gone")]) == {"gone"}
    assert here.order == [(5, 0), (9, 0)]
    assert clock.next_at is None


async def test_late_pushes_are_put_in_order(clock: FakeClock) -> None:
    here = Delivered(clock)
    await here.sequencer.foreign([push(1)])
    third = asyncio.ensure_future(here.sequencer.local([push(3, 0), push(3, 1, conn="gone")]))
    await settle()
    assert here.order == [(1, 0)]
    await here.sequencer.foreign([push(2, 0), push(2, 1)])

    assert await third == {"gone"}
    assert here.order == [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1)]
    assert clock.next_at is None


async def test_gaps_are_waited_for_in_vain_only_so_long(clock: FakeClock) -> None:
    here = Delivered(clock)
    await here.sequencer.foreign([push(1)])
    ninth = asyncio.ensure_future(here.sequencer.foreign([push(9)]))
    seventh = asyncio.ensure_future(here.sequencer.local([push(7)]))
    await settle()
    assert here.order == [(1, 0)]
    await clock.advance(WINDOW)
    await asyncio.gather(seventh, ninth)

    assert here.order == [(1, 0), (7, 0), (9, 0)]
    # What comes after all of that is late, and goes out as it is.
    await here.sequencer.foreign([push(4)])
    assert here.order[-1] == (4, 0)


async def test_actors_do_not_wait_for_each_other(clock: FakeClock) -> None:
    here = Delivered(clock)
    await here.sequencer.foreign([push(1)])
    held = asyncio.ensure_future(here.sequencer.local([push(5), push(9, actor="other")]))
    await settle()

    assert here.order == [(1, 0), (9, 0)]
    await clock.advance(WINDOW)
    await held


async def test_order_ceases_to_matter(clock: FakeClock) -> None:
    here = Delivered(clock)
    await here.sequencer.foreign([push(1)])
    await clock.advance(MIXED + 1)
    here.sequencer.prune()
    await here.sequencer.local([push(9)])

    assert here.order == [(1, 0), (9, 0)]


# -- peers ----------------------------------------------------------------------------------------


class Network:
    """Carries requests to the listeners of hosts in the test."""

    def __init__(self) -> None:
        self.apps: dict[str, ConnectionsApp] = {}
        self.requests: list[tuple[str, bytes]] = []
        self.gate: asyncio.Event | None = None

    async def request(
        self, url: str, method: str, path: str, headers: Iterable[tuple[str, str]], body: bytes
    ) -> tuple[int, bytes]:
        url = urldefrag(url).url  # says where an address leads, and is no part of it
        self.requests.append((url, body))
        if self.gate is not None:
            await self.gate.wait()
        if url not in self.apps:
            raise RefusedError("refused")
        return await ask(self.apps[url], method, path, headers, body)

    async def aclose(self) -> None:
        pass


async def ask(
    app: ConnectionsApp,
    method: str,
    path: str,
    headers: Iterable[tuple[str, str]],
    body: bytes = b"",
) -> tuple[int, bytes]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers],
        "client": None,
    }
    await app(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]


class Wiretap:
    """A socket that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def send(self, data: str | bytes) -> None:
        self.sent.append(data)

    async def receive(self) -> str | bytes:
        raise NotImplementedError

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.sent.append((code, reason))


class Node:
    """One process: its sockets, its listener, its view of the others."""

    def __init__(
        self,
        name: str,
        store: Store,
        network: Network,
        clock: FakeClock,
        secret: bytes,
        lapsed: Callable[[], None] | None = None,
    ) -> None:
        self.store = store
        self.tasks = Tasks()
        self.table = SocketTable(clock, max_outgoing=2**20)
        sequencer = Sequencer(self.table.deliver, clock)
        self.passes = Passes(secret, name, clock)
        self.peers = Peers(
            store, sequencer, host_id=name, clock=clock, links=network, lapsed=lapsed
        )
        self.peers.trust(self.passes)
        self.gossip = Gossip(self.peers, clock)
        self.heard: list[tuple[str, Hint]] = []
        self.app = ConnectionsApp(self.table, sequencer, self.passes, self.hear)
        self.url = f"http://{name}:1"
        network.apps[self.url] = self.app

    def hear(self, sender: str, hints: Sequence[Hint]) -> None:
        self.gossip.heard(sender)
        self.heard += [(sender, hint) for hint in hints]

    def socket(self, conn_id: str) -> Wiretap:
        tap = Wiretap()
        outbox = Outbox(tap, self.tasks, 2**20)
        outbox.open()
        self.table.add(conn_id, outbox, Wire(JSON))
        return tap


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
async def store(clock: FakeClock) -> AsyncIterator[MemoryStore]:
    async with MemoryStore(clock=clock) as store:
        yield store


@pytest.fixture
async def here(store: MemoryStore, network: Network, clock: FakeClock) -> Node:
    node = Node("here", store, network, clock, SECRET)
    await node.peers.announce(node.url)
    return node


@pytest.fixture
async def there(store: MemoryStore, network: Network, clock: FakeClock) -> Node:
    node = Node("there", store, network, clock, SECRET)
    await node.peers.announce(node.url)
    return node


def event(*conns: str, version: int = 1) -> Push:
    return Push(ACTOR, version, 0, EventPush("changed", (version,)), conns)


async def test_pushes_reach_other_hosts(here: Node, there: Node, network: Network) -> None:
    mine, theirs = here.socket("mine"), there.socket("theirs")

    assert await here.peers.push("here", [event("mine", "nobody")]) == {"nobody"}
    assert await here.peers.push("there", [event("theirs", "nobody")]) == {"nobody"}
    await settle()

    frame = '{"body":{"tag":"Event","val":{"args":[1],"name":"changed"}}}'
    assert (mine.sent, theirs.sent) == ([frame], [frame])
    assert [url for url, _ in network.requests] == ["http://there:1"]


async def test_pushes_are_batched_while_one_is_under_way(
    here: Node, there: Node, network: Network
) -> None:
    tap = there.socket("theirs")
    network.gate = asyncio.Event()
    waiting: list[asyncio.Future[frozenset[str]]] = []
    for n in range(1, 6):
        pushing = here.peers.push("there", [event("theirs", f"x{n}", version=n)])
        waiting.append(asyncio.ensure_future(pushing))
        await settle()
    network.gate.set()

    assert await asyncio.gather(*waiting) == [{f"x{n}"} for n in range(1, 6)]
    assert len(network.requests) == 2
    assert len(tap.sent) == 5


async def test_slow_hosts_hold_nobody_up(
    here: Node, there: Node, network: Network, clock: FakeClock
) -> None:
    network.gate = asyncio.Event()
    waiting = asyncio.ensure_future(here.peers.push("there", [event("nobody")]))
    await settle()
    await clock.advance(2)

    assert await waiting == frozenset()
    network.gate.set()
    await here.peers.aclose()


async def test_unreachable_hosts(
    here: Node, there: Node, network: Network, clock: FakeClock
) -> None:
    del network.apps[there.url]

    assert await here.peers.push("there", [event("theirs")]) == frozenset()
    assert await here.peers.push("there", [event("theirs")]) == frozenset()
    # Not asked again at once.
    assert len(network.requests) == 1
    await clock.advance(1)
    network.apps[there.url] = there.app
    assert await here.peers.push("there", [event("nobody")]) == {"nobody"}


async def test_hosts_nobody_knows(here: Node) -> None:
    assert await here.peers.push("stranger", [event("x")]) == frozenset()


async def test_hosts_with_another_secret(
    here: Node, store: MemoryStore, network: Network, clock: FakeClock
) -> None:
    other = Node("other", store, network, clock, b"another secret here")
    await other.peers.announce(other.url)
    tap = other.socket("c")

    assert await here.peers.push("other", [event("c")]) == frozenset()
    assert tap.sent == []


async def test_a_host_that_does_not_keep_up(
    here: Node, there: Node, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rivetless.hosts import peers

    monkeypatch.setattr(peers, "_MAX_WAITING", 1)
    network.gate = asyncio.Event()
    first = asyncio.ensure_future(here.peers.push("there", [event("a")]))
    await settle()
    second = asyncio.ensure_future(here.peers.push("there", [event("b")]))
    await settle()
    assert await here.peers.push("there", [event("c")]) == frozenset()
    network.gate.set()

    assert [set(gone) for gone in await asyncio.gather(first, second)] == [{"a"}, {"b"}]


async def test_without_a_secret_nobody_is_reached(
    store: MemoryStore, network: Network, clock: FakeClock
) -> None:
    table = SocketTable(clock, max_outgoing=1)
    peers = Peers(
        store, Sequencer(table.deliver, clock), host_id="alone", clock=clock, links=network
    )

    assert await peers.push("there", [event("c")]) == frozenset()
    assert await peers.push("alone", [event("c")]) == {"c"}
    assert network.requests == []


async def test_who_is_back_under_another_id_knows_the_sockets_of_the_old_one_gone(
    here: Node, there: Node, clock: FakeClock
) -> None:
    clock.jump(LIFETIME)
    beating = asyncio.ensure_future(here.peers.beat())
    await settle()
    await clock.advance(HEARTBEAT)
    beating.cancel()

    assert here.peers.host_id == "here~1"
    assert await here.peers.push("here", [push(1, conn="other")]) == {"other"}
    await here.peers.read_hosts()
    assert "here" not in here.peers.others


async def test_who_is_back_speaks_under_its_other_id(
    here: Node, there: Node, network: Network, clock: FakeClock
) -> None:
    lapses: list[str] = []
    back = Node("back", here.store, network, clock, SECRET, lambda: lapses.append("closed"))
    await back.peers.announce(back.url)
    clock.jump(LIFETIME)
    for node in (here, there, back):
        await node.peers.own.renew()
    await here.peers.read_hosts()

    assert lapses == ["closed"]
    assert sorted(here.peers.others) == ["back~1", "there~1"]
    here.gossip.tell(HINTS[:1])
    back.gossip.tell(HINTS[:1])
    await here.peers.aclose()
    assert back.heard == [("here~1", HINTS[0])]
    assert await here.gossip.lives("back~1")
    assert await here.gossip.lives("back")  # nobody can say: what speaks of it may be older
    assert await here.peers.push("back~1", [push(1, conn="c")]) == {"c"}


async def test_who_has_ended_is_told_nothing(here: Node, there: Node, network: Network) -> None:
    await there.peers.own.end()
    await here.peers.read_hosts()
    here.gossip.tell(HINTS)
    await settle()

    assert here.peers.others == []
    assert await here.peers.push("there", [push(1)]) == frozenset()
    assert network.requests == []


async def test_who_has_no_listener_is_told_nothing(
    here: Node, store: MemoryStore, network: Network, clock: FakeClock
) -> None:
    mute = Node("mute", store, network, clock, SECRET)
    await mute.peers.announce("")
    await here.peers.read_hosts()
    here.gossip.tell(HINTS)
    mute.gossip.tell(HINTS)
    await settle()

    assert here.peers.others == []
    assert await here.gossip.lives("mute")
    assert await here.peers.push("mute", [push(1)]) == frozenset()
    assert network.requests == []


async def test_a_process_has_a_name_before_the_others_know_it(
    store: MemoryStore, network: Network, clock: FakeClock, here: Node
) -> None:
    young = Node("young", store, network, clock, SECRET)
    assert young.gossip.name == "young"
    assert await here.gossip.lives("young")
    await young.peers.join(young.url)
    clock.jump(1)  # nobody asks for the same one again and again
    assert await here.gossip.lives("young") is True
    del network.apps[young.url]
    assert await here.gossip.lives("young") is False


async def test_joining_goes_on_until_the_store_takes_it(network: Network, clock: FakeClock) -> None:
    async with FaultyStore(MemoryStore(clock=clock)) as store:
        node = Node("node", store, network, clock, SECRET)
        store.inject(Fault.BEFORE, verb="announce")
        store.inject(Fault.HELD, verb="announce")  # until it is waited for no longer
        joining = asyncio.ensure_future(node.peers.join(node.url))
        await settle()
        await clock.advance(0.1 + HEARTBEAT + 0.2)
        await joining
        assert [host.id for host in await store.hosts()] == ["node"]


# -- the listener's verbs -------------------------------------------------------------------------


async def manage(
    node: Node, sender: Node, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, bytes]:
    signed = sender.passes.sign(node.peers.host_id, method, path, body)
    signed += [(name.replace("_", "-"), value) for name, value in headers.items()]
    return await ask(node.app, method, path, signed, body)


async def test_management_verbs(here: Node, there: Node) -> None:
    tap = there.socket("c")
    path = "/@connections/c"

    assert (await manage(there, here, "POST", path, b"hi"))[0] == 200
    assert (
        await manage(there, here, "POST", path, b"\xff", content_type="application/octet-stream")
    )[0] == 200
    assert (await manage(there, here, "POST", path, b"\xff"))[0] == 400
    status, body = await manage(there, here, "GET", path)
    assert (status, list(json.loads(body))) == (200, ["connectedAt"])
    assert (await manage(there, here, "PUT", path))[0] == 405
    assert (await manage(there, here, "DELETE", path))[0] == 204
    await settle()
    assert tap.sent == ["hi", b"\xff", (1000, "")]
    for method in ("GET", "POST", "DELETE"):
        assert (await manage(there, here, method, "/@connections/nobody"))[0] == 410
    assert (await manage(there, here, "GET", "/other"))[0] == 404


async def test_the_listener_refuses_strangers(here: Node, there: Node) -> None:
    tap = there.socket("c")
    path = "/@connections/c"
    signed = here.passes.sign("there", "POST", path, b"hi")

    assert (await ask(there.app, "POST", path, [], b"hi"))[0] == 403
    assert (await ask(there.app, "POST", path, signed, b"ho"))[0] == 403
    assert (await ask(there.app, "POST", path, signed, b"hi"))[0] == 403
    assert (await manage(there, here, "POST", "/@connections", b"x", content_type=CBOR_TYPE))[
        0
    ] == 400
    assert tap.sent == []


# -- hints ----------------------------------------------------------------------------------------

HINTS = [
    Hint(Topic.MESSAGES, ACTOR),
    Hint(Topic.REPLY, ACTOR, "w"),
    Hint(Topic.RUNNER, ACTOR),
    Hint(Topic.ALARM, ACTOR, at=12.5),
]


def test_hints_survive_the_way() -> None:
    assert read_hints(write_hints("here", HINTS)) == ("here", HINTS)


def test_hints_of_a_later_version_are_passed_over() -> None:
    body = json_dumps(["here", [["gossip", ACTOR, "", None], ["runner", ACTOR, "", None]]])

    assert read_hints(body) == ("here", [Hint(Topic.RUNNER, ACTOR)])


@pytest.mark.parametrize(
    "document",
    [None, [], [5, []], ["here"], ["here", {}], ["here", [[]]], ["here", [["reply", ACTOR, 5, 1]]]],
)
def test_malformed_hints(document: Any) -> None:
    with pytest.raises(ActorError, match=r"invalid_request"):
        read_hints(json.dumps(document).encode())


async def test_hints_reach_every_other_host(
    here: Node, there: Node, store: MemoryStore, network: Network, clock: FakeClock
) -> None:
    third = Node("third", store, network, clock, SECRET)
    await third.peers.announce(third.url)
    await here.peers.read_hosts()
    here.gossip.tell(HINTS)
    await here.peers.aclose()

    assert there.heard == third.heard == [("here", hint) for hint in HINTS]
    assert here.heard == []


async def test_hints_are_batched_and_each_is_there_once(
    here: Node, there: Node, network: Network
) -> None:
    await here.peers.read_hosts()
    network.gate = asyncio.Event()
    here.gossip.tell(HINTS[:1])
    await settle()
    for at in (9.0, 5.0, 7.0):
        here.gossip.tell([*HINTS[:2], Hint(Topic.ALARM, ACTOR, at=at)])
    network.gate.set()
    await here.peers.aclose()

    assert len(network.requests) == 2
    told = [*HINTS[:1], *HINTS[:2], Hint(Topic.ALARM, ACTOR, at=5.0)]
    assert there.heard == [("here", hint) for hint in told]


async def test_who_greets_is_known_at_once(here: Node, there: Node, network: Network) -> None:
    here.gossip.tell(HINTS)
    await settle()
    assert there.heard == []  # nobody has looked since it came
    await there.gossip.greet()
    await settle()
    here.gossip.tell(HINTS)
    await settle()

    assert there.heard == [("here", hint) for hint in HINTS]


async def test_a_host_is_dead_when_nobody_listens_where_it_could_be_reached(
    here: Node, there: Node, network: Network
) -> None:
    assert await here.gossip.lives("there")
    del network.apps[there.url]

    assert not await here.gossip.lives("there")
    assert await here.gossip.lives("unheard of")


async def test_what_could_never_be_reached_may_live_elsewhere(
    here: Node, there: Node, network: Network
) -> None:
    del network.apps[there.url]

    assert await here.gossip.lives("there")


@pytest.mark.parametrize(
    ("address", "mine", "other", "dead"),
    [
        ("http://127.0.0.1:1", "p", "p", True),
        ("http://127.0.0.1:1", "p", "q", False),  # on another machine, or in another container
        ("http://127.0.0.1:1", "", "", False),  # where nobody can tell
        ("http://10.0.0.7:1", "p", "p", False),
        ("http://there:1", "p", "p", False),
    ],
)
async def test_of_its_own_machine_a_process_knows_who_is_dead(
    here: Node, there: Node, network: Network, address: str, mine: str, other: str, dead: bool
) -> None:
    here.peers.place, there.peers.place = mine, other
    await there.peers.announce(address)

    assert await here.gossip.lives("there") is not dead

    network.apps[address] = there.app
    assert await here.gossip.lives("there")


async def test_hints_that_fail_are_lost_and_pause(
    here: Node, there: Node, network: Network, clock: FakeClock
) -> None:
    await here.peers.read_hosts()
    app = network.apps.pop(there.url)
    here.gossip.tell(HINTS)
    await settle()
    network.apps[there.url] = app
    here.gossip.tell(HINTS)
    await settle()
    assert (there.heard, len(network.requests)) == ([], 1)
    await clock.advance(1)
    here.gossip.tell(HINTS[:1])
    await settle()

    assert there.heard == [("here", HINTS[0])]


async def test_a_host_that_has_gone_is_told_nothing(
    here: Node, there: Node, network: Network, clock: FakeClock
) -> None:
    await here.peers.read_hosts()
    await clock.advance(LIFETIME + 1)
    here.gossip.tell(HINTS)
    await settle()

    assert network.requests == []


async def test_hints_of_strangers_are_refused(
    store: MemoryStore, network: Network, clock: FakeClock, there: Node
) -> None:
    stranger = Node("stranger", store, network, clock, b"another secret here")
    await stranger.peers.announce(stranger.url)
    await stranger.peers.read_hosts()
    stranger.gossip.tell(HINTS)
    await settle()

    assert len(network.requests) == 1
    assert there.heard == []
