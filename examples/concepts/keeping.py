"""Pairs of keys and values beside the state: ``self.kv``."""

from datetime import date

from rivetless import Actor, action


# --8<-- [start:kv]
class Diary(Actor):
    """A year of entries: too many to load with every turn."""

    @action
    async def write(self, day: date, entry: str) -> None:
        """Set a day's entry."""
        await self.kv.put(f"{day:%Y-%m-%d}", entry)

    @action
    async def read(self, day: date) -> str | None:
        """Return a day's entry."""
        return await self.kv.get(f"{day:%Y-%m-%d}")

    @action
    async def month(self, year: int, month: int) -> list[tuple[str, str]]:
        """Return a month's entries, the latest first."""
        return await self.kv.list(f"{year}-{month:02}-", reverse=True)

    # --8<-- [end:kv]
