"""What actors do by themselves later: once, again and again, or not any more."""

from datetime import UTC, datetime, timedelta

from pydantic import BaseModel

from rivetless import Actor, Event, FireInfo, UserError, action


class Log(BaseModel):
    lines: list[str] = []
    broken: bool = False


class Item(BaseModel):
    name: str
    count: int = 1


class Planner(Actor[Log], sleep_timeout=3600):
    """Runs its own actions later."""

    noted = Event[str]()

    @action
    async def note(self, text: str) -> None:
        """Write a line."""
        self.state.lines.append(text)
        self.broadcast(self.noted, text)

    @action
    async def told(self, text: str, fire: FireInfo | None = None) -> None:
        """Write down why it runs."""
        assert fire is not None
        early = fire.fired_at < fire.scheduled_at
        alone = self.conns.current is None and self.request is None
        self.state.lines.append(f"{text} {fire.kind} {fire.name} {early} {alone}")
        self.state.lines.append(fire.id)

    @action
    async def take(self, item: Item, times: int = 1) -> None:
        """Take a model."""
        self.state.lines.extend([item.name] * item.count * times)

    @action
    async def wobble(self) -> None:
        """Fail while the actor is broken."""
        if self.state.broken:
            raise UserError("still broken", code="broken")
        self.state.lines.append("wobbled")

    @action
    async def read(self) -> list[str]:
        """Return all lines."""
        return self.state.lines

    @action
    async def after(self, seconds: float, text: str) -> str:
        """Have a line written."""
        return self.schedule.after(timedelta(seconds=seconds), self.note, text)

    @action
    async def after_often(self, seconds: float, count: int) -> None:
        """Have many lines written, all at one time."""
        for number in range(count):
            self.schedule.after(timedelta(seconds=seconds), self.note, str(number))

    @action
    async def at(self, seconds: float, text: str) -> str:
        """Have a line written at an instant."""
        instant = datetime.fromtimestamp(self._turn.schedules.now() + seconds, UTC)
        return self.schedule.at(instant, self.note, text)

    @action
    async def long_ago(self) -> str:
        """Have a line written in the past."""
        return self.schedule.at(datetime(1999, 1, 1, tzinfo=UTC), self.note, "long ago")

    @action
    async def explain(self) -> str:
        """Have written down why it was."""
        return self.schedule.after(0, self.told, "told")

    @action
    async def deliver(self) -> str:
        """Plan an action that takes a model."""
        return self.schedule.after(0, self.take, Item(name="tea", count=2), times=2)

    @action
    async def by_name(self, name: str, args: list[object]) -> str:
        """Plan an action by its name."""
        return self.schedule.after(0, name, *args)

    @action
    async def plan_and_fail(self) -> None:
        """Plan something and fail."""
        self.schedule.after(0, self.note, "never")
        raise UserError("no", code="no")

    @action
    async def plan_and_look(self) -> list[str]:
        """Look at what this turn has planned and cancelled."""
        ids = [self.schedule.after(delay, self.note, str(delay)) for delay in (30, 10, 20)]
        assert await self.schedule.cancel(ids[2])
        assert not await self.schedule.cancel(ids[2])
        assert await self.schedule.get(ids[2]) is None
        return [str(each.args[0]) for each in await self.schedule.list()]

    @action
    async def planned(self) -> list[list[object]]:
        """Return what is planned."""
        return [
            [each.id, each.action, list(each.args), each.run_at.timestamp()]
            for each in await self.schedule.list()
        ]

    @action
    async def get(self, schedule_id: str) -> list[object] | None:
        """Return one of them."""
        each = await self.schedule.get(schedule_id)
        if each is None:
            return None
        return [each.id, each.action, list(each.args), each.run_at.timestamp()]

    @action
    async def cancel(self, schedule_id: str) -> bool:
        """Cancel one of them."""
        return await self.schedule.cancel(schedule_id)

    @action
    async def break_down(self, broken: bool) -> None:
        """Let ``wobble`` fail, or not."""
        self.state.broken = broken

    @action
    async def wobble_later(self) -> str:
        """Plan ``wobble``."""
        return self.schedule.after(0, self.wobble)

    @action
    async def letters(self) -> list[list[object]]:
        """Return the dead letters."""
        return [
            [each.id, each.kind, each.source, each.attempts, each.error, each.message]
            for each in await self.dead_letters.list()
        ]

    @action
    async def replay(self, letter_id: str) -> bool:
        """Try a dead letter anew."""
        return await self.dead_letters.replay(letter_id)

    @action
    async def purge(self, letter_id: str | None = None) -> int:
        """Throw dead letters away."""
        return await self.dead_letters.purge(letter_id)

    @action
    async def doze(self) -> None:
        """Sleep."""
        self.sleep()

    @action
    async def delete(self) -> None:
        """Be destroyed."""
        self.destroy()


class Dreamer(Actor[Log]):
    """Plans in its hooks."""

    async def on_create(self) -> None:
        self.schedule.after(0, self.note, "created")

    async def on_wake(self) -> None:
        self.state.lines.append("wake")

    async def on_sleep(self) -> None:
        self.schedule.after(0, self.note, "slept")

    @action
    async def note(self, text: str) -> None:
        """Write a line."""
        self.state.lines.append(text)

    @action
    async def read(self) -> list[str]:
        """Return all lines."""
        return self.state.lines

    @action
    async def doze(self) -> None:
        """Sleep."""
        self.sleep()


class Clockwork(Actor[Log], sleep_timeout=3600):
    """Runs its own actions again and again."""

    @action
    async def tick(self, text: str = "tick") -> None:
        """Write a line."""
        self.state.lines.append(text)

    @action
    async def told(self, fire: FireInfo | None = None) -> None:
        """Write down why it runs."""
        assert fire is not None
        late = (fire.fired_at - fire.scheduled_at).total_seconds()
        self.state.lines.append(f"{fire.kind} {fire.id} {fire.name} {late:g}")

    @action
    async def fail(self) -> None:
        """Fail."""
        raise UserError("no", code="no")

    @action
    async def crash(self) -> None:
        """Fail with what callers must not see."""
        raise RuntimeError("a secret")

    @action
    async def set(self, name: str, expression: str, timezone: str = "UTC") -> None:
        """Have a line written by the clock."""
        self.cron.set(name, expression, self.tick, name, timezone=timezone)

    @action
    async def every(
        self, name: str, seconds: float, action: str = "tick", max_history: int = 100
    ) -> None:
        """Run an action at an interval."""
        self.cron.every(name, timedelta(seconds=seconds), action, max_history=max_history)

    @action
    async def set_history(self, max_history: int) -> None:
        """Set a job whose history may be of no possible length."""
        self.cron.set("job", "* * * * *", self.tick, max_history=max_history)

    @action
    async def jobs(self) -> list[dict[str, object]]:
        """Return all jobs."""
        return [
            {
                "name": job.name,
                "kind": job.kind,
                "action": job.action,
                "args": list(job.args),
                "next": job.next_run_at.timestamp(),
                "last": job.last_run_at and job.last_run_at.timestamp(),
                "history": job.max_history,
                "times": job.expression or (job.interval and job.interval.total_seconds()),
                "timezone": job.timezone,
            }
            for job in await self.cron.list()
        ]

    @action
    async def has(self, name: str) -> bool:
        """Say whether there is a job."""
        return await self.cron.get(name) is not None

    @action
    async def history(self, name: str, limit: int = 20) -> list[str]:
        """Return how the runs of a job went."""
        runs = await self.cron.history(name, limit=limit)
        return [
            f"{run.result} {run.error.code}: {run.error.message}" if run.error else run.result
            for run in runs
        ]

    @action
    async def remove(self, name: str) -> None:
        """Delete a job."""
        self.cron.delete(name)

    @action
    async def read(self) -> list[str]:
        """Return all lines."""
        return self.state.lines

    @action
    async def delete(self) -> None:
        """Be destroyed."""
        self.destroy()
