"""Pairs of keys and values."""

from pydantic import BaseModel

from rivetless import Actor, UserError, action


class ShelfState(BaseModel):
    writes: int = 0


class Shelf(Actor[ShelfState]):
    """Keeps pairs, as text and as bytes."""

    async def on_create(self) -> None:
        await self.kv.put("made", "on creation")

    @action
    async def put(self, key: str, value: str) -> None:
        await self.kv.put(key, value)

    @action
    async def get(self, key: str) -> str | None:
        return await self.kv.get(key)

    @action
    async def put_bytes(self, key: bytes, value: bytes) -> None:
        await self.kv.put(key, value)

    @action
    async def get_bytes(self, key: bytes) -> bytes | None:
        return await self.kv.get(key, type="binary")

    @action
    async def delete(self, key: str) -> None:
        await self.kv.delete(key)

    @action
    async def put_batch(self, pairs: dict[str, str]) -> None:
        await self.kv.put_batch(pairs)

    @action
    async def get_batch(self, keys: list[str]) -> list[str | None]:
        return await self.kv.get_batch(keys)

    @action
    async def delete_batch(self, keys: list[str]) -> None:
        await self.kv.delete_batch(keys)

    @action
    async def delete_range(self, start: str, end: str) -> None:
        await self.kv.delete_range(start, end)

    @action
    async def pairs(
        self,
        prefix: str = "",
        start: str | None = None,
        end: str | None = None,
        reverse: bool = False,
        limit: int = 100,
    ) -> list[tuple[str, str]]:
        return await self.kv.list(prefix, start=start, end=end, reverse=reverse, limit=limit)

    @action
    async def pairs_of_bytes(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        return await self.kv.list(prefix, type="binary", key_type="binary")

    @action
    async def see_own_writes(self) -> list[tuple[str, str]]:
        """Write, overwrite and delete, then list what the turn sees."""
        await self.kv.put("b", "new")
        await self.kv.delete("a")
        await self.kv.put("d", "added")
        return await self.kv.list(limit=3)

    @action
    async def put_and_refuse(self, key: str, value: str) -> None:
        await self.kv.put(key, value)
        self.state.writes += 1
        raise UserError("Not today.", code="not_today")

    @action
    async def add(self, key: str) -> int:
        """Read a number, wait for something of ours, and write it back one higher."""
        number = int(await self.kv.get(key) or 0) + 1
        await self.kv.get("something else")
        await self.kv.put(key, str(number))
        return number

    @action
    async def put_large(self, key_bytes: int, value_bytes: int) -> None:
        await self.kv.put("k" * key_bytes, "v" * value_bytes)

    @action
    async def put_many(self, count: int) -> None:
        await self.kv.put_batch({f"{n:04}": "v" for n in range(count)})

    @action
    async def leave(self) -> None:
        self.destroy()
