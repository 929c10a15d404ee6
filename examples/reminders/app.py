"""Reminders: an actor a person, whose own action runs when a reminder is due."""

from datetime import datetime, timedelta

from pydantic import BaseModel

from rivetless import Actor, Event, FireInfo, UserError, action, setup


class Reminder(BaseModel):
    id: str
    text: str
    due: datetime


class Rung(BaseModel):
    text: str
    late_by: float


class PersonState(BaseModel):
    rung: list[str] = []


class Person(Actor[PersonState]):
    """One person's reminders."""

    rang = Event[Rung]()

    # --8<-- [start:schedule]
    @action
    async def remind_me(self, text: str, after: float) -> str:
        """Remind of something in ``after`` seconds; returns the reminder's id."""
        if not text:
            raise UserError("What about?", code="no_text")
        return self.schedule.after(timedelta(seconds=after), self.ring, text)

    @action
    async def ring(self, text: str, fire: FireInfo | None = None) -> None:
        """Ring: runs by itself, and does all of this exactly once."""
        late = (fire.fired_at - fire.scheduled_at).total_seconds() if fire else 0.0
        self.state.rung.append(text)
        self.broadcast(self.rang, Rung(text=text, late_by=late))

    # --8<-- [end:schedule]

    # --8<-- [start:look]
    @action
    async def pending(self) -> list[Reminder]:
        """Return what is still to come, what is due first coming first."""
        return [
            Reminder(id=each.id, text=str(each.args[0]), due=each.run_at)
            for each in await self.schedule.list()
        ]

    @action
    async def forget(self, reminder_id: str) -> bool:
        """Take a reminder back; false if it has rung already."""
        return await self.schedule.cancel(reminder_id)

    # --8<-- [end:look]

    @action
    async def snooze(self, reminder_id: str, by: float) -> str | None:
        """Put a reminder off: the old one is gone and the new one there in one commit."""
        planned = await self.schedule.get(reminder_id)
        if planned is None:
            return None
        await self.schedule.cancel(reminder_id)
        return self.schedule.at(
            planned.run_at + timedelta(seconds=by), self.ring, str(planned.args[0])
        )

    @action
    async def history(self) -> list[str]:
        """Return what has rung."""
        return self.state.rung


registry = setup(use=[Person])
