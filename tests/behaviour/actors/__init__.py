"""The actors that the behaviour suite, the npm client's tests and the bad-input tests drive."""

from typing import Any

from rivetless import Actor, setup
from tests.behaviour.actors.calling import (
    Answering,
    Calls,
    Failing,
    Gated,
    Impatient,
    Patient,
)
from tests.behaviour.actors.counting import (
    Counter,
    Notes,
    Profile,
    Seeded,
    Stateless,
    Watched,
)
from tests.behaviour.actors.flowing import Pipeline
from tests.behaviour.actors.keeping import Shelf
from tests.behaviour.actors.living import (
    Background,
    Defaults,
    Fragile,
    Journal,
    Ledger,
    Life,
    Shop,
    Slow,
    Teller,
)
from tests.behaviour.actors.meeting import Requested, Room
from tests.behaviour.actors.queueing import (
    Brief,
    Mail,
    Postman,
    Streamer,
    Ticker,
    Tiny,
    Worker,
)
from tests.behaviour.actors.raw import Mute, Web
from tests.behaviour.actors.timely import Clockwork, Dreamer, Planner

ACTORS: list[type[Actor[Any, Any, Any]]] = [
    Answering,
    Background,
    Brief,
    Calls,
    Clockwork,
    Counter,
    Defaults,
    Dreamer,
    Failing,
    Fragile,
    Gated,
    Impatient,
    Journal,
    Ledger,
    Life,
    Mail,
    Mute,
    Notes,
    Patient,
    Pipeline,
    Planner,
    Postman,
    Profile,
    Requested,
    Room,
    Seeded,
    Shelf,
    Shop,
    Slow,
    Stateless,
    Streamer,
    Teller,
    Ticker,
    Tiny,
    Watched,
    Web,
    Worker,
]

registry = setup(use=ACTORS)
