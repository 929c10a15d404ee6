"""An actor whose actions wait for something outside, and say when they do: to be frozen there."""

import asyncio

import anyio
from pydantic import BaseModel

from rivetless import Actor, action, setup

ACTION_TIMEOUT = 15.0


class Lines(BaseModel):
    """What was written down."""

    lines: list[str] = []


class Vault(Actor[Lines], action_timeout=ACTION_TIMEOUT):
    """Writes lines down."""

    @action
    async def plain(self, line: str, door: str) -> list[str]:
        """Write, and wait outside."""
        self.state.lines.append(line)
        await knock(door)
        return self.state.lines

    @action(exclusive=True)
    async def alone(self, line: str, door: str) -> list[str]:
        """The same, with the actor to itself."""
        return await self.plain(line, door)

    @action
    async def saved(self, line: str, door: str) -> list[str]:
        """Commit a half, and wait outside before the other."""
        self.state.lines.append(f"{line}, begun")
        await self.save_state()
        return await self.plain(line, door)

    @action
    async def once_only(self, line: str, door: str) -> list[str]:
        """Wait within what happens once."""
        await self.once("knock", lambda: knock(door))
        self.state.lines.append(line)
        return self.state.lines

    @action
    async def add(self, line: str) -> list[str]:
        """Just write."""
        self.state.lines.append(line)
        return self.state.lines

    @action
    async def read(self) -> list[str]:
        """Show the lines."""
        return self.state.lines


async def knock(door: str) -> str:
    """Tell that an action is outside; go on when the door is gone."""
    path = anyio.Path(door)
    await path.with_suffix(".knocked").touch()
    for _ in range(10_000):
        if not await path.exists():
            return "in"
        await asyncio.sleep(0.01)
    raise TimeoutError("nobody opens")


registry = setup([Vault])
