"""Which places call a port is read from the source, and a run knows which it has reached."""

from __future__ import annotations

from rivetless.testing.simulation.callsites import port_calls, reached
from rivetless.testing.simulation.choices import Plan
from rivetless.testing.simulation.runs import run
from rivetless.testing.simulation.simulation import Deployment
from tests.unit.testing.simulation.counters import Counter, count


def test_all_places_are_found() -> None:
    texts = {call.text for call in port_calls()}
    assert {"store.commit", "doorbells.ring", "pusher.push", "links.request"} <= texts
    assert {"caller.call", "dispatcher.dispatch"} <= texts
    assert len(port_calls()) > 50


def test_a_run_knows_what_it_has_reached() -> None:
    done = run(count, Deployment(actors=[Counter]), Plan(seed=1))
    found = {str(call).split(":")[0] + " " + call.text for call in reached(done.sites)}
    assert "rivetless/runtime/cell.py store.commit" in found
    assert "rivetless/runtime/dead.py store.records" not in found
    assert not any("dynamodb" in each for each in found)
