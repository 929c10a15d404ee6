"""Lifecycle: hooks in their order, vars, sleep, destroy, calls between actors, outside effects."""

import asyncio
from typing import Any

from pydantic import BaseModel

from rivetless import Actor, ActorError, Conn, Event, UserError, action


class Diary(BaseModel):
    lines: list[str] = []


class Journal(Actor[Diary]):
    """Collects what other actors report: it outlives them."""

    @action
    async def write(self, line: str) -> None:
        """Add a line."""
        self.state.lines.append(line)

    @action
    async def read(self) -> list[str]:
        """Return all lines."""
        return self.state.lines


class LifeVars:
    def __init__(self, number: int) -> None:
        self.number = number
        self.notes: list[str] = []


class Life(Actor[Diary], sleep_timeout=0.3):
    """Writes down each of its hooks; what ends it is written to a journal of the same key."""

    vars: LifeVars

    async def on_migrate(self, is_new: bool) -> None:
        if not is_new:
            self.state.lines.append("migrate:False")

    async def create_state(self, input: Any) -> Diary:
        return Diary(lines=["state"])

    async def on_create(self, input: Any) -> None:
        self.state.lines.append("create")

    async def create_vars(self) -> LifeVars:
        self.state.lines.append("vars")
        return LifeVars(len(self.state.lines))

    async def on_wake(self) -> None:
        self.state.lines.append(f"wake:{self.name}")

    async def on_sleep(self) -> None:
        self.state.lines.append("sleep")
        self.broadcast("sleeping")

    async def on_destroy(self) -> None:
        journal = self.client.get_or_create(Journal, self.key)
        await journal.write(f"destroyed:{'/'.join(self.key)}:{len(self.state.lines)}")

    async def on_connect(self, conn: Conn[None, Any]) -> None:
        if self._is_loud(conn):
            self.state.lines.append("connect")

    async def on_disconnect(self, conn: Conn[None, Any]) -> None:
        if self._is_loud(conn):
            self.state.lines.append("disconnect")

    def _is_loud(self, conn: Conn[None, Any]) -> bool:
        return isinstance(conn.params, dict) and bool(conn.params.get("loud"))

    @action
    async def read(self) -> list[str]:
        """Return the hooks so far."""
        return self.state.lines

    @action
    async def note(self, text: str) -> list[str]:
        """Keep something for this tenure only."""
        self.vars.notes.append(text)
        return self.vars.notes

    @action
    async def notes(self) -> list[str]:
        """Return what this tenure keeps."""
        return self.vars.notes

    @action
    async def note_and_fail(self, text: str) -> None:
        """Vars are not rolled back."""
        self.vars.notes.append(text)
        self.state.lines.append("never")
        raise UserError("Rolled back.", code="rolled_back")

    @action
    async def replace_vars(self, number: int) -> int:
        """Assign vars as a whole."""
        self.vars = LifeVars(number)
        return self.vars.number

    @action
    async def number(self) -> int:
        """Return what vars hold."""
        return self.vars.number

    @action
    async def doze(self) -> None:
        """Ask for sleep, twice."""
        self.sleep()
        self.sleep()

    @action
    async def end(self) -> bool:
        """Be destroyed; the rest of the action still runs."""
        self.destroy()
        self.state.lines.append("ending")
        return self.aborted

    @action
    async def end_twice(self) -> str:
        """Be destroyed once."""
        self.destroy()
        try:
            self.destroy()
        except ActorError as error:
            return error.name
        return "twice"

    @action
    async def end_and_fail(self) -> None:
        """Be destroyed, or not."""
        self.destroy()
        raise UserError("Changed my mind.", code="changed")

    @action
    async def ids(self) -> dict[str, Any]:
        """Say who this is."""
        return {
            "id": self.actor_id,
            "name": self.name,
            "key": list(self.key),
            "region": self.region,
            "turn": bool(self.turn_id),
        }


class Defaults(Actor):
    """Vars that are a class's default."""

    vars: dict[str, list[int]]

    async def create_vars(self) -> dict[str, list[int]]:
        return {"numbers": []}

    @action
    async def push(self, number: int) -> list[int]:
        """Change vars in place."""
        self.vars["numbers"].append(number)
        return self.vars["numbers"]


class FragileState(BaseModel):
    tries: int = 0


class Fragile(Actor[FragileState]):
    """Fails in whichever hook its key names."""

    async def create_state(self, input: Any) -> FragileState:
        self._fail("create_state")
        return FragileState()

    async def on_create(self, input: Any) -> None:
        self._fail("on_create")

    async def create_vars(self) -> object:
        self._fail("create_vars")
        return object()

    async def on_wake(self) -> None:
        self._fail("on_wake")

    async def on_disconnect(self, conn: Conn[None, Any]) -> None:
        self._fail("on_disconnect")

    async def on_sleep(self) -> None:
        self._fail("on_sleep")

    async def on_destroy(self) -> None:
        self._fail("on_destroy")

    def _fail(self, hook: str) -> None:
        if hook in self.key:
            raise UserError(f"{hook} fails.", code=f"{hook}_fails")

    @action
    async def ping(self) -> str:
        """Answer."""
        self.state.tries += 1
        return "pong"

    @action
    async def doze(self) -> None:
        """Ask for sleep."""
        self.sleep()

    @action
    async def end(self) -> None:
        """Be destroyed."""
        self.destroy()


class Slow(
    Actor[None, None, Any],
    create_state_timeout=0.1,
    create_vars_timeout=0.1,
    create_conn_state_timeout=0.1,
    on_create_timeout=0.1,
    on_migrate_timeout=0.1,
    on_wake_timeout=0.1,
    on_before_connect_timeout=0.1,
    on_connect_timeout=0.1,
):
    """Takes too long in whichever hook its key or its connection's parameters name."""

    async def _hang(self, hook: str, where: object) -> None:
        if isinstance(where, tuple | list) and hook in where:
            await asyncio.Event().wait()

    async def on_migrate(self, is_new: bool) -> None:
        await self._hang("on_migrate", self.key)

    async def on_create(self, input: Any) -> None:
        await self._hang("on_create", self.key)

    async def create_vars(self) -> object:
        await self._hang("create_vars", self.key)
        return object()

    async def on_wake(self) -> None:
        await self._hang("on_wake", self.key)

    async def on_before_connect(self, params: Any) -> None:
        await self._hang("on_before_connect", params)

    async def on_connect(self, conn: Conn[None, Any]) -> None:
        await self._hang("on_connect", conn.params)

    async def on_disconnect(self, conn: Conn[None, Any]) -> None:
        await self._hang("on_disconnect", conn.params)

    @action
    async def ping(self) -> str:
        """Answer."""
        return "pong"


class WorkState(BaseModel):
    done: list[str] = []


class Background(Actor[WorkState], sleep_timeout=0.5):
    """Works after its answers."""

    finished = Event[str]()
    vars: asyncio.Event

    async def create_vars(self) -> asyncio.Event:
        return asyncio.Event()

    async def on_sleep(self) -> None:
        self.state.done.append("slept")

    async def _work(self, text: str) -> None:
        self.state.done.append(text)
        self.broadcast(self.finished, text)

    async def _fail(self) -> None:
        raise RuntimeError("nobody hears this")

    async def _think(self, number: int) -> int:
        if number < 0:
            raise UserError("Below zero.", code="below_zero")
        return number * 2

    @action
    async def begin(self, text: str) -> str:
        """Do some work later."""
        self.wait_until(self._work(text))
        return "begun"

    @action
    async def begin_badly(self) -> str:
        """Begin work that fails."""
        self.wait_until(self._fail())
        return "begun"

    @action
    async def begin_in_vain(self, text: str) -> None:
        """Begin work, and roll back."""
        self.wait_until(self._work(text))
        raise UserError("No.", code="no")

    @action
    async def think(self, number: int) -> int:
        """Wait for tracked work."""
        return await self.keep_awake(self._think(number))

    @action
    async def stay(self) -> str:
        """Stay awake until told otherwise."""
        waiting = self.vars.wait()
        tracked = self.keep_awake(waiting)
        del tracked
        return "staying"

    @action
    async def go(self) -> None:
        """Tell otherwise."""
        self.vars.set()

    @action
    async def done(self) -> list[str]:
        """Return what was done."""
        return self.state.done


class LedgerState(BaseModel):
    balance: int = 0
    notes: list[str] = []


class Ledger(Actor[LedgerState]):
    """Called by other actors."""

    @action
    async def add(self, amount: int) -> int:
        """Change the balance."""
        if amount == 13:
            raise UserError("Unlucky.", code="unlucky", metadata={"amount": amount})
        self.state.balance += amount
        return self.state.balance

    @action
    async def crash(self) -> None:
        """Fail."""
        raise RuntimeError("a secret of the server")

    @action
    async def balance(self) -> int:
        """Return the balance."""
        return self.state.balance

    @action
    async def note(self, text: str) -> list[str]:
        """Take a note."""
        self.state.notes.append(text)
        return self.state.notes

    @action
    async def relay(self, teller: str, text: str) -> list[str]:
        """Call back the actor that is calling."""
        back = self.client.get_or_create(Teller, teller)
        await back.note(text)
        return await back.notes()

    @action
    async def wait_for(self, teller: str) -> int:
        """Call back an exclusive action."""
        return await self.client.get_or_create(Teller, teller).alone()


class Teller(Actor[LedgerState]):
    """Calls other actors. Its ledger has the same key."""

    def _ledger(self) -> Ledger:
        return self.client.get_or_create(Ledger, self.key)

    @action
    async def pay(self, amount: int) -> int:
        """Change two actors."""
        self.state.balance -= amount
        return await self._ledger().add(amount)

    @action
    async def pay_twice(self, amount: int) -> list[int]:
        """Call the same twice: these are two calls."""
        ledger = self._ledger()
        return [await ledger.add(amount), await ledger.add(amount)]

    @action
    async def pay_and_fail(self, amount: int) -> None:
        """The ledger keeps what it got."""
        self.state.balance -= amount
        await self._ledger().add(amount)
        raise UserError("Too late.", code="too_late")

    @action
    async def pay_anyway(self, amount: int) -> str:
        """Look at the callee's error."""
        try:
            await self._ledger().add(amount)
        except ActorError as error:
            return f"{error.name} {error.metadata}"
        return "paid"

    @action
    async def crash_there(self) -> None:
        """The callee fails."""
        await self._ledger().crash()

    @action
    async def balance(self) -> int:
        """Return the balance."""
        return self.state.balance

    @action
    async def note(self, text: str) -> list[str]:
        """Take a note."""
        self.state.notes.append(text)
        return self.state.notes

    @action
    async def notes(self) -> list[str]:
        """Return the notes."""
        return self.state.notes

    @action
    async def round_trip(self, text: str) -> list[str]:
        """A calls B, B calls A."""
        self.state.notes.append(f"before {text}")
        return await self.client.get_or_create(Ledger, self.key).relay(self.key[0], text)

    @action(exclusive=True)
    async def alone(self) -> int:
        """Hold the lease and call out."""
        return await self._ledger().wait_for(self.key[0])

    @action
    async def call_self_alone(self) -> int:
        """Hold nothing, and call an exclusive action of oneself."""
        me = self.client.get_or_create(Teller, self.key)
        return await me.count_alone()

    @action(exclusive=True)
    async def count_alone(self) -> int:
        """Be alone, and change something."""
        self.state.balance += 1
        return self.state.balance

    @action
    async def find(self, key: str) -> str:
        """Look for an actor that may not exist."""
        try:
            return await self.client.resolve(self.client.get(Ledger, key))
        except ActorError as error:
            return error.name

    @action
    async def open_account(self, key: str) -> str:
        """Create another actor."""
        try:
            return await self.client.resolve(await self.client.create(Ledger, key))
        except ActorError as error:
            return error.name


class ShopState(BaseModel):
    charges: int = 0
    saved: list[str] = []
    turns: list[str] = []


class Shop(Actor[ShopState]):
    """Does things outside that must not be repeated."""

    class Outside:
        def __init__(self) -> None:
            self.calls = 0

    vars: Outside

    async def create_vars(self) -> Outside:
        return Shop.Outside()

    async def _charge(self) -> str:
        self.vars.calls += 1
        return f"receipt {self.vars.calls}"

    async def _decline(self) -> str:
        self.vars.calls += 1
        raise UserError("Declined.", code="declined")

    @action
    async def charge(self) -> tuple[str, str]:
        """Ask twice for what happens once."""
        first = await self.once("charge", self._charge)
        second = await self.once("charge", self._charge)
        self.state.charges += 1
        return first, second

    @action
    async def charge_other(self) -> list[str]:
        """Two things, each once."""
        return [await self.once("a", self._charge), await self.once("b", self._charge)]

    @action
    async def decline(self) -> str:
        """What fails is not stored."""
        return await self.once("decline", self._decline)

    @action
    async def outside(self) -> int:
        """Count the calls outside."""
        return self.vars.calls

    @action
    async def save(self, first: str, second: str) -> None:
        """Save one thing, and fail before the other."""
        self.state.saved.append(first)
        await self.save_state()
        self.state.saved.append(second)
        raise UserError("In between.", code="in_between")

    @action
    async def save_both(self, first: str, second: str) -> list[str]:
        """Save one thing, and then the other."""
        self.state.saved.append(first)
        await self.save_state()
        self.state.saved.append(second)
        return self.state.saved

    @action
    async def saved(self) -> list[str]:
        """Return what was saved."""
        return self.state.saved

    @action
    async def buy(self) -> str:
        """Return this turn's id."""
        self.state.turns.append(self.turn_id)
        return self.turn_id

    @action
    async def turns(self) -> list[str]:
        """Return the ids of all turns that bought."""
        return self.state.turns

    @action
    async def charges(self) -> int:
        """Return the state."""
        return self.state.charges

    @action
    async def add(self, amount: int) -> int:
        """Change the state."""
        self.state.charges += amount
        return self.state.charges
