"""Actions: arguments, groups, errors, time-outs, answers."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from rivetless import ActionGroup, Actor, ActorError, UserError, action


class Order(BaseModel):
    item: str
    quantity: int = 1


class Receipt(BaseModel):
    order: Order
    total: int


class Members(ActionGroup["Calls"]):
    """A group inside of a group."""

    @action
    async def count(self) -> int:
        """Count them."""
        return len(self.actor.state.users)


class Users(ActionGroup["Calls"]):
    """A group of actions."""

    members = Members()

    @action
    async def add(self, name: str) -> list[str]:
        """Add one."""
        self.actor.state.users.append(name)
        return self.actor.state.users

    @action
    async def find_first(self) -> str | None:
        """Return the first one."""
        return self.actor.state.users[0] if self.actor.state.users else None


class CallsState(BaseModel):
    users: list[str] = []


class Calls(Actor[CallsState]):
    """Actions of all kinds."""

    users = Users()

    @action
    async def echo(self, value: Any) -> Any:
        """Return the argument."""
        return value

    @action
    async def kind(self, value: Any) -> str:
        """Return the argument's Python type."""
        return type(value).__name__

    @action
    async def nothing(self) -> None:
        """Return nothing."""

    @action
    async def greet(self, name: str, greeting: str = "Hello", *, loud: bool = False) -> str:
        """Default values and a keyword."""
        text = f"{greeting}, {name}!"
        return text.upper() if loud else text

    @action
    async def total(self, *numbers: int) -> int:
        """Any number of arguments."""
        return sum(numbers)

    @action
    async def buy(self, order: Order) -> Receipt:
        """Models in, models out."""
        return Receipt(order=order, total=order.quantity * 10)

    @action(name="special-name")
    async def renamed(self) -> str:
        """Has a name of its own on the wire."""
        return "special"

    @action
    async def repeat(self, text: str, times: int) -> str:
        """Return something long."""
        return text * times

    @action
    async def length(self, text: str) -> int:
        """Take something long."""
        return len(text)

    @action
    async def unserialisable(self) -> Any:
        """Return what cannot be sent."""
        return object()


class Failing(Actor[CallsState]):
    """Fails in every way."""

    @action
    async def simple(self) -> None:
        """A plain UserError."""
        raise UserError("Something is wrong.")

    @action
    async def detailed(self) -> None:
        """A UserError with all there is."""
        metadata = {"field": "name", "limits": [1, 2], "nested": {"deep": True}}
        raise UserError("Bad name.", code="bad_name", metadata=metadata)

    @action
    async def internal(self) -> None:
        """An ordinary exception."""
        raise RuntimeError("the database password is hunter2")

    @action
    async def grouped(self) -> None:
        """A structured error of the actor's own group."""
        raise ActorError("billing", "card_declined", "A secret text.", {"secret": True})

    @action
    async def forbidden(self) -> None:
        """A public error of ours."""
        raise ActorError("auth", "forbidden", "Only for admins.", {"role": "guest"})

    @action
    async def works(self) -> str:
        """Does not fail."""
        return "fine"


@dataclass
class Gate:
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0
    aborted: int = 0


class Gated(Actor[CallsState]):
    """Holds some of its actions at a gate."""

    vars: Gate

    async def create_vars(self) -> Gate:
        return Gate()

    async def _pass(self) -> None:
        self.vars.waiting += 1
        try:
            await self.vars.opened.wait()
        finally:
            self.vars.waiting -= 1

    @action
    async def slow(self) -> str:
        """Wait at the gate."""
        await self._pass()
        return "slow"

    @action
    async def fast(self) -> str:
        """Do not wait."""
        return "fast"

    @action
    async def add_slowly(self, name: str) -> list[str]:
        """Read, wait at the gate, write what was read and one more."""
        names = list(self.state.users)
        await self._pass()
        self.state.users = [*names, name]
        return self.state.users

    @action
    async def add(self, name: str) -> list[str]:
        """Add at once."""
        self.state.users.append(name)
        return self.state.users

    @action
    async def refresh_at_gate(self) -> tuple[list[str], list[str], list[str]]:
        """Return the state before the gate, behind it, and after ``refresh``."""
        before = list(self.state.users)
        await self._pass()
        behind = list(self.state.users)
        await self.refresh()
        return before, behind, list(self.state.users)

    @action
    async def names(self) -> list[str]:
        """Return the state."""
        return self.state.users

    @action
    async def waiting(self) -> int:
        """Count those at the gate."""
        return self.vars.waiting

    @action
    async def open(self) -> None:
        """Open the gate for good."""
        self.vars.opened.set()


class ImpatientState(BaseModel):
    count: int = 0


class Impatient(Actor[ImpatientState], action_timeout=0.2):
    """Gives its actions little time."""

    vars: Gate

    async def create_vars(self) -> Gate:
        return Gate()

    @action
    async def hang(self) -> None:
        """Never end."""
        self.state.count += 1
        self.abort_signal.add_callback(self._count_abort)
        await asyncio.Event().wait()

    def _count_abort(self) -> None:
        self.vars.aborted += 1

    @action(timeout=0.05)
    async def hang_shorter(self) -> None:
        """Never end, with a time-out of its own."""
        await asyncio.Event().wait()

    @action
    async def quick(self) -> str:
        """End at once."""
        return "done"

    @action
    async def count(self) -> int:
        """Return the state."""
        return self.state.count

    @action
    async def aborts(self) -> int:
        """Count the abort signals that fired."""
        return self.vars.aborted


class Patient(Actor, action_timeout=30):
    """The same action, with more time."""

    @action
    async def quick(self) -> str:
        """End at once."""
        return "done"


class Answering(Actor[CallsState]):
    """Changes its answers on their way."""

    async def on_before_action_response(self, name: str, args: list[Any], output: Any) -> Any:
        match name:
            case "plain":
                return output
            case "wrapped":
                return {"name": name, "args": args, "output": output}
            case "refused":
                raise UserError("The answer is withheld.", code="withheld")
            case _:
                return None

    @action
    async def plain(self) -> str:
        """Stays as it is."""
        return "plain"

    @action
    async def wrapped(self, number: int) -> Any:
        """Is wrapped."""
        return number * 2

    @action
    async def refused(self, name: str) -> str:
        """Fails after all."""
        self.state.users.append(name)
        return name

    @action
    async def failing(self) -> str:
        """Never reaches the hook."""
        raise UserError("No answer at all.", code="no_answer")
