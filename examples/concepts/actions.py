"""Actions: arguments, groups, options."""

from datetime import timedelta

from pydantic import BaseModel

from rivetless import ActionGroup, Actor, UserError, action


class Entry(BaseModel):
    what: str
    cents: int


class AccountState(BaseModel):
    entries: list[Entry] = []
    owners: list[str] = []


# --8<-- [start:group]
class Owners(ActionGroup["Account"]):
    """Actions with a name of their own: ``owners.add`` on the wire."""

    @action
    async def add(self, name: str) -> list[str]:
        """Add an owner."""
        self.actor.state.owners.append(name)
        return self.actor.state.owners


# --8<-- [end:group]


# --8<-- [start:account]
class Account(Actor[AccountState], action_timeout=10):
    """Money of somebody."""

    owners = Owners()

    @action
    async def book(self, entry: Entry, *, notify: bool = True) -> int:
        """Add an entry; return the balance."""
        self.state.entries.append(entry)
        balance = self._balance()
        if balance < 0:
            raise UserError("There is not enough money.", code="overdrawn")  # undoes the entry
        if notify:
            self.broadcast("booked", entry.what, entry.cents)
        return balance

    @action
    async def balances(self, *since: int) -> list[int]:
        """Return the balance from each of some entries on."""
        return [self._balance(first) for first in since]

    @action(name="statement", timeout=timedelta(seconds=30))
    async def write_statement(self) -> str:
        """Return everything as text."""
        lines = [f"{entry.cents / 100:10.2f}  {entry.what}" for entry in self.state.entries]
        return "\n".join(lines)

    def _balance(self, first: int = 0) -> int:
        return sum(entry.cents for entry in self.state.entries[first:])


# --8<-- [end:account]
