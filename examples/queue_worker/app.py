"""Thumbnails: jobs wait in a queue, one loop works them off, who likes waits for the answer."""

from pydantic import BaseModel, Field

from rivetless import Actor, Event, Queue, UserError, action, setup


# --8<-- [start:models]
class Picture(BaseModel):
    url: str
    width: int = Field(gt=0)


class Thumbnail(BaseModel):
    url: str
    width: int


class Album(BaseModel):
    """What lasts: what was made."""

    thumbnails: list[Thumbnail] = []


# --8<-- [end:models]


# --8<-- [start:worker]
async def customers_only(actor: Actor[Album]) -> bool:
    return bool(actor.conn.params)


class Thumbnailer(Actor[Album], max_queue_size=500, icon="image"):
    """Makes thumbnails for one customer."""

    pictures = Queue[Picture, Thumbnail](can_publish=customers_only, max_deliveries=3)
    made = Event[Thumbnail]()

    async def run(self) -> None:
        async for message in self.queue.iter(self.pictures):
            url, width = message.body.url, message.body.width
            if not url.startswith("https://"):
                raise UserError("There is nothing to fetch.", code="bad_url")
            thumbnail = Thumbnail(url=f"{url}?w={width}", width=width)
            self.state.thumbnails.append(thumbnail)
            self.broadcast(self.made, thumbnail)
            message.complete(thumbnail)

    # --8<-- [end:worker]

    @action
    async def album(self) -> Album:
        """Return what was made."""
        return self.state

    # --8<-- [start:inside]
    @action
    async def add_all(self, urls: list[str], width: int) -> None:
        """Queue many pictures: all of them, or none if this fails."""
        for url in urls:
            self.queue.send(self.pictures, Picture(url=url, width=width))

    @action
    async def thumbnail(self, url: str) -> Thumbnail:
        """Have one made and wait for it."""
        picture = Picture(url=url, width=64)
        return await self.queue.enqueue_and_wait(self.pictures, picture, timeout=10)

    # --8<-- [end:inside]

    # --8<-- [start:dead]
    @action
    async def failed(self) -> list[str]:
        """Say which pictures were given up, and why."""
        return [letter.error for letter in await self.dead_letters.list()]

    @action
    async def try_again(self) -> None:
        """Put what was given up back into the queue."""
        for letter in await self.dead_letters.list():
            await self.dead_letters.replay(letter.id)

    # --8<-- [end:dead]


# --8<-- [start:shop]
class Shop(Actor):
    """Sends pictures to a customer's worker; they arrive exactly once, if this turn commits."""

    @action
    async def upload(self, customer: str, url: str) -> None:
        worker = self.client.get_or_create(Thumbnailer, customer, params={"customer": customer})
        await self.client.send(worker, Thumbnailer.pictures, Picture(url=url, width=128))


# --8<-- [end:shop]

registry = setup(use=[Thumbnailer, Shop])
