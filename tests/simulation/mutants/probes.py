"""Scenarios that do a little of everything and then count: is anything there twice, or missing?

They were written by whoever wrote the mutants, without the checkers, and ask no more than can be
seen with the naked eye. So a mutant that they find is one that users would have found.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

from rivetless.errors import ActorError
from rivetless.testing.simulation import Simulation
from rivetless.testing.simulation.history import Ok, Operation
from rivetless.testing.simulation.simulation import Deployment
from tests.simulation.mutants.actors import ACTORS, Book, Clerk, Reader, Trip

DEPLOYMENT: Final = Deployment(actors=ACTORS)

Client = Callable[[int], Coroutine[Any, Any, None]]


def _calls(sim: Simulation, *names: str) -> list[Operation]:
    return [one for one in sim.history.operations if one.call in names]


def _lines(operations: Sequence[Operation], place: int = 0) -> tuple[set[Any], set[Any]]:
    """Return what must have happened, and what may have."""
    must = {one.args[place] for one in operations if one.ok}
    return must, {one.args[place] for one in operations if not one.refused}


def _once_each(seen: Sequence[Any], operations: Sequence[Operation], place: int = 0) -> None:
    must, may = _lines(operations, place)
    assert len(seen) == len(set(seen)), f"twice: {seen}"
    assert must <= set(seen), f"lost: {must - set(seen)}"
    assert set(seen) <= may, f"from nowhere: {set(seen) - may}"


async def _clients(sim: Simulation, client: Client, count: int = 3) -> None:
    await sim.run(*(client(number) for number in range(count)))
    await sim.calm()


async def reads(sim: Simulation) -> None:
    """Notes and reads: each read sees all that was acknowledged before, and nothing else."""
    book = sim.client.get_or_create(Book, "a")

    async def client(number: int) -> None:
        for turn in range(6):
            way = sim.random.random()
            if way < 0.4:
                await sim.attempt(book.note(f"{number}.{turn}"))
            elif way < 0.8:
                await sim.attempt(book.read())
            else:
                await _try(book.fail_beyond(4))

    await _clients(sim, client, 4)
    notes = _calls(sim, "note")
    _once_each(await book.read(), notes)
    for look in _calls(sim, "read", "failBeyond"):
        before = {n.args[0] for n in notes if n.ok and n.order_ended < look.order}  # type: ignore[operator]
        began = [n for n in notes if not n.refused and _began_before_end(n, look)]
        if look.call == "read" and isinstance(look.outcome, Ok):
            seen = set(look.outcome.value)  # type: ignore[call-overload]
            assert before <= seen, f"stale: without {before - seen}"
            assert seen <= {n.args[0] for n in began}, "it has read what was refused"
        elif isinstance(look.outcome, Ok):
            assert len(before) <= 4, "it has not failed on what was acknowledged"
        elif str(look.outcome).startswith("refused (rivetkit."):
            assert len(began) > 4, "it has failed on what was never there"


def _began_before_end(note: Operation, look: Operation) -> bool:
    return look.order_ended is None or note.order < look.order_ended


async def _try(call: Awaitable[object]) -> None:
    try:
        await call
    except ActorError:
        return


async def pairs(sim: Simulation) -> None:
    """Count with pairs of keys and values: no number is given twice."""
    book = sim.client.get_or_create(Book, "a")

    async def client(number: int) -> None:
        for _ in range(6):
            await sim.attempt(book.count())

    await _clients(sim, client, 4)
    total, counts = await book.counted(), _calls(sim, "count")
    given = [one.outcome.value for one in counts if isinstance(one.outcome, Ok)]
    assert len(given) == len(set(given)), f"twice: {given}"
    assert len(given) <= total <= sum(not one.refused for one in counts)


async def sends(sim: Simulation) -> None:
    """One actor tells another: both know the same."""
    book = sim.client.get_or_create(Book, "a")

    async def client(number: int) -> None:
        for turn in range(4):
            await sim.attempt(book.tell(f"{number}.{turn}"))

    await _clients(sim, client)
    told, heard = await book.read(), await sim.client.get_or_create(Reader, "a").read()
    _once_each(told, _calls(sim, "tell"))
    assert sorted(told) == sorted(heard), f"{told} was told, and {heard} heard"


async def mail(sim: Simulation) -> None:
    """Send messages and questions: each has its effect once, in the order of its sender."""
    reader = sim.client.get_or_create(Reader, "a")

    async def client(number: int) -> None:
        for turn in range(5):
            if sim.random.random() < 0.6:
                await sim.attempt(sim.client.send(reader, Reader.mail, f"{number}.{turn}"))
            else:
                body = f"?{number}.{turn}"
                answer = sim.client.send_and_wait(reader, Reader.questions, body)
                await sim.attempt(answer)

    await _clients(sim, client)
    seen, sent = await reader.read(), _calls(sim, "enqueue")
    assert len(seen) == len(set(seen)), f"twice: {seen}"
    must, may = _lines(sent, 1)
    assert {body for body in must if not body.startswith("?")} <= set(seen) <= may
    for number in range(3):
        own = [line for line in seen if line in must and line.lstrip("?").startswith(f"{number}.")]
        assert own == sorted(own, key=lambda line: line.lstrip("?")), f"out of order: {own}"
    for one in sent:
        reply = getattr(one.outcome, "value", None)
        if getattr(reply, "status", "") == "completed" and getattr(reply, "response", None):
            assert seen[reply.response - 1] == one.args[1], "it was told of what never was"  # type: ignore[union-attr]


async def receivers(sim: Simulation) -> None:
    """Let several take messages: nobody gets what another has."""
    book = sim.client.get_or_create(Book, "a")

    async def client(number: int) -> None:
        for turn in range(5):
            if number < 2:
                await sim.attempt(sim.client.send(book, Book.mail, f"{number}.{turn}"))
            else:
                await sim.attempt(book.take())

    await _clients(sim, client, 5)
    values = [one.outcome.value for one in _calls(sim, "take") if isinstance(one.outcome, Ok)]
    got = [body for value in values for body in value]  # type: ignore[attr-defined]
    assert len(got) == len(set(got)), f"twice: {got}"


async def calls(sim: Simulation) -> None:
    """One actor calls another: what the caller knows the other one knows, and once."""
    book = sim.client.get_or_create(Book, "a")

    async def client(number: int) -> None:
        for turn in range(4):
            await sim.attempt(book.note_there(f"{number}.{turn}"))

    await _clients(sim, client)
    here, there = await book.read(), await sim.client.get_or_create(Book, "there").read()
    _once_each(here, _calls(sim, "noteThere"))
    assert len(there) == len(set(there)), f"twice: {there}"
    assert set(here) <= set(there)


async def timers(sim: Simulation) -> None:
    """Schedule notes: each is made once, and not before its time."""
    book = sim.client.get_or_create(Book, "a")

    async def client(number: int) -> None:
        for turn in range(4):
            seconds = sim.random.choice((0.1, 1.0, 6.0, 20.0)) * sim.random.uniform(0.5, 1.0)
            await sim.attempt(book.note_later(seconds, f"{number}.{turn}"))
            for line in await _read(sim, book):
                early.extend(one for one in _calls(sim, "noteLater") if _is_early(sim, one, line))

    early: list[Operation] = []
    await _clients(sim, client)
    _once_each(await book.read(), _calls(sim, "noteLater"), 1)
    assert not early, f"too early: {early}"


def _is_early(sim: Simulation, planned: Operation, line: object) -> bool:
    seconds, own = planned.args
    return own == line and sim.now < planned.began + float(str(seconds)) - 3.0


async def _read(sim: Simulation, book: Book) -> list[str]:
    outcome = await sim.attempt(book.read())
    return list(outcome.value) if isinstance(outcome, Ok) else []  # type: ignore[call-overload]


async def repeats(sim: Simulation) -> None:
    """Repeat calls under their keys until they are answered: they have one effect."""
    plain = sim.client.get_or_create(Book, "a")

    async def client(number: int) -> None:
        for turn in range(4):
            line = f"{number}.{turn}"
            book = sim.client.with_options(plain, idempotency_key=line)
            way = (book.note, book.note_twice)[turn % 2]
            for _ in range(5):
                if isinstance(await sim.attempt(way(line)), Ok):
                    break

    await _clients(sim, client)
    seen = await plain.read()
    assert len(seen) == len(set(seen)), f"twice: {seen}"


async def checkpoints(sim: Simulation) -> None:
    """Save in the middle, with others around: no half is done twice."""
    book = sim.client.get_or_create(Book, "a")

    async def client(number: int) -> None:
        for turn in range(4):
            way = book.note if number == 3 else book.note_twice
            await sim.attempt(way(f"{number}.{turn}"))

    await _clients(sim, client, 4)
    seen = await book.read()
    assert len(seen) == len(set(seen)), f"twice: {seen}"


async def events(sim: Simulation) -> None:
    """Listen: what is heard was done, and nobody hears anything twice."""
    book = sim.client.get_or_create(Book, "a")
    heard: list[list[str]] = []

    async def listen() -> None:
        own: list[str] = []
        heard.append(own)
        async with sim.client.connect(book) as connection:
            connection.on(Book.noted, own.append)
            await sim.sleep(8)

    async def client(number: int) -> None:
        for turn in range(6):
            way = book.note_and_fail if turn % 3 == 2 else book.note
            await _try(way(f"{number}.{turn}"))

    await sim.run(listen(), listen(), *(client(number) for number in range(3)))
    await sim.calm()
    seen = await book.read()
    for own in heard:
        assert set(own) <= set(seen), f"heard, and never done: {set(own) - set(seen)}"
        assert len(own) == len(set(own)), f"heard twice: {own}"


async def lives(sim: Simulation) -> None:
    """Destroy and begin again: an id is one life's, and what a life has sent arrives."""
    book = sim.client.get_or_create(Book, "a")

    async def client(number: int) -> None:
        for turn in range(5):
            found = await sim.attempt(book.life())
            if sim.random.random() < 0.5:
                await sim.attempt(book.leave(f"{number}.{turn}"))
            if isinstance(found, Ok):
                again = await sim.attempt(sim.client.get_for_id(Book, str(found.value)).life())
                assert not isinstance(again, Ok) or again == found, "another life answers"

    await _clients(sim, client)
    heir, got = sim.client.get_or_create(Book, "heir"), list[str]()
    while found := await heir.take():
        got += found
    _once_each(got, _calls(sim, "leave"))


async def steps(sim: Simulation) -> None:
    """Send a workflow its mail, piece by piece: each step is done once."""
    clerk = sim.client.get_or_create(Clerk, "a")

    async def client(number: int) -> None:
        for turn in range(4):
            await sim.attempt(sim.client.send(clerk, Clerk.mail, f"{number}.{turn}"))
            await sim.sleep(0.5)

    await _clients(sim, client)
    first, *seen = await clerk.read()
    assert first == "open"
    _once_each(seen, _calls(sim, "enqueue"), 1)


async def rollbacks(sim: Simulation) -> None:
    """Have a workflow fail: what it has done is undone, once, backwards."""

    async def client(number: int) -> None:
        trip = sim.client.get_or_create(Trip, f"{number}")
        for _ in range(4):
            await sim.attempt(trip.read())
            await sim.sleep(0.3)

    await _clients(sim, client)
    for number in range(3):
        # Where no call has come through the trip begins now.
        await sim.client.get_or_create(Trip, f"{number}").read()
    await sim.calm()
    for number in range(3):
        seen = await sim.client.get_or_create(Trip, f"{number}").read()
        assert seen == ["a", "b", "c", "-c", "-b", "-a"], seen


PROBES: Final = (
    reads,
    pairs,
    sends,
    mail,
    receivers,
    calls,
    timers,
    repeats,
    checkpoints,
    events,
    lives,
    steps,
    rollbacks,
)
