"""A digest: what came in since the last one, on weekdays at nine, wherever the reader lives."""

from pydantic import BaseModel

from rivetless import Actor, Event, FireInfo, action, setup


class Digest(BaseModel):
    day: str
    items: list[str]


class DigestState(BaseModel):
    waiting: list[str] = []
    sent: int = 0


class Reader(Actor[DigestState]):
    """One reader's digest."""

    digest = Event[Digest]()

    # --8<-- [start:cron]
    @action
    async def subscribe(self, timezone: str = "UTC") -> None:
        """Send a digest on weekdays at nine; again with another time zone moves it."""
        self.cron.set("digest", "0 9 * * 1-5", self.send, timezone=timezone)
        self.cron.every("tidy", 3600, self.tidy, 100, max_history=0)

    @action
    async def unsubscribe(self) -> None:
        """Send none any more."""
        self.cron.delete("digest")

    # --8<-- [end:cron]

    @action
    async def add(self, item: str) -> None:
        """Add something to the next digest."""
        self.state.waiting.append(item)

    @action
    async def send(self, fire: FireInfo | None = None) -> None:
        """Send what has come in; runs by itself."""
        if self.state.waiting:
            day = f"{fire.scheduled_at:%Y-%m-%d}" if fire else "now"
            self.broadcast(self.digest, Digest(day=day, items=self.state.waiting))
            self.state.waiting = []
            self.state.sent += 1

    @action
    async def tidy(self, longest: int) -> None:
        """Drop the oldest when there is too much."""
        del self.state.waiting[:-longest]

    # --8<-- [start:history]
    @action
    async def runs(self) -> list[str]:
        """Return how the last runs went, newest first."""
        return [
            f"{run.scheduled_at:%a %H:%M} {run.result}" for run in await self.cron.history("digest")
        ]

    @action
    async def next_digest(self) -> str | None:
        """Return when the next digest is sent."""
        job = await self.cron.get("digest")
        return None if job is None else job.next_run_at.isoformat()

    # --8<-- [end:history]


registry = setup(use=[Reader])
