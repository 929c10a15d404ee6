"""What happens around actions: hooks, vars, background work, the end."""

from typing import Any

from pydantic import BaseModel

from rivetless import Actor, Event, UserError, action


class Report(BaseModel):
    place: str
    celsius: float


class StationState(BaseModel):
    readings: list[float] = []
    highest: float | None = None
    woken: int = 0


class Archive(Actor[list[str]]):
    """What is left of stations."""

    async def create_state(self) -> list[str]:
        return []

    @action
    async def add(self, line: str) -> None:
        """Keep a line."""
        self.state.append(line)

    @action
    async def lines(self) -> list[str]:
        """Return all lines."""
        return self.state


# --8<-- [start:vars]
class StationVars:
    """Lives as long as this process has the actor in memory; never stored."""

    def __init__(self) -> None:
        self.forecasts: dict[str, str] = {}


class Station(Actor[StationState], sleep_timeout=60):
    """A weather station."""

    vars: StationVars
    record = Event[float]()

    async def create_vars(self) -> StationVars:
        return StationVars()

    @action
    async def forecast(self, day: str) -> str:
        """Return a forecast, at best one made before."""
        if day not in self.vars.forecasts:
            self.vars.forecasts[day] = await self._compute(day)
        return self.vars.forecasts[day]

    # --8<-- [end:vars]

    async def _compute(self, day: str) -> str:
        return f"{day}: {'warm' if (self.state.highest or 0) > 20 else 'cold'}"

    # --8<-- [start:hooks]
    async def on_migrate(self, is_new: bool) -> None:
        self.log.debug("new" if is_new else "known")

    async def on_create(self) -> None:
        self.log.info("a station at %s", "/".join(self.key))

    async def on_wake(self) -> None:
        self.state.woken += 1

    async def on_sleep(self) -> None:
        self.vars.forecasts.clear()

    async def on_destroy(self) -> None:
        archive = self.client.get_or_create(Archive)
        await archive.add(f"{self.key[0]} had {len(self.state.readings)} readings")

    # --8<-- [end:hooks]

    # --8<-- [start:state-change]
    def on_state_change(self, state: StationState) -> None:
        if state.readings and state.readings[-1] == state.highest:
            self.broadcast(self.record, state.readings[-1])

    # --8<-- [end:state-change]

    # --8<-- [start:response]
    async def on_before_action_response(self, name: str, args: list[Any], output: Any) -> Any:
        if name == "report" and self.conn.params == "fahrenheit":
            return Report(place=output.place, celsius=output.celsius * 9 / 5 + 32)
        return output

    # --8<-- [end:response]

    @action
    async def measure(self, celsius: float) -> None:
        """Record a reading."""
        if not -90 < celsius < 60:
            raise UserError("Is the sensor broken?", code="implausible")
        self.state.readings.append(celsius)
        self.state.highest = max(celsius, self.state.highest or celsius)

    @action
    async def report(self) -> Report:
        """Return the last reading."""
        return Report(place=self.key[0], celsius=self.state.readings[-1])

    # --8<-- [start:background]
    @action
    async def tidy(self) -> str:
        """Answer at once, and keep the last ten readings only."""
        self.wait_until(self._forget_old())
        return "on it"

    async def _forget_old(self) -> None:
        # A turn of its own, begun when the action has committed.
        del self.state.readings[:-10]

    # --8<-- [end:background]

    # --8<-- [start:destroy]
    @action
    async def close(self) -> int:
        """Delete the station; return how many readings there were."""
        self.destroy()
        return len(self.state.readings)  # the turn goes on, and its answer is delivered

    # --8<-- [end:destroy]

    @action
    async def woken(self) -> int:
        """Return how often processes have taken the station up."""
        return self.state.woken
