"""Storms that hypothesis makes: every call has one outcome, its own, and is sent once."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from rivetless.client import Client
from rivetless.errors import ActorError
from rivetless.protocol.messages import (
    ActionRequest,
    ActionResponse,
    ErrorFrame,
    SubscriptionRequest,
)
from rivetless.testing.clock import FakeClock, settle

from .actors import ScriptedTransport, Server

STEPS = st.lists(
    st.one_of(
        st.sampled_from(["call", "call", "answer", "answer", "init", "drop", "wait", "listen"]),
        st.sampled_from(["refuse", "cancel", "restarting", "fail", "unlisten", "unreachable"]),
    ),
    max_size=60,
)


class Storm:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.transport = ScriptedTransport()
        self.client = Client(transport=self.transport, clock=self.clock)
        self.conn = self.client.connect(self.client.get_or_create("a"))
        self.calls: list[asyncio.Task[object]] = []
        self.listeners: list[object] = []
        self.sent: dict[int, int] = {}
        self.unanswered: list[tuple[int, object]] = []
        self.greeted: set[int] = set()

    @property
    def server(self) -> Server | None:
        sockets = self.transport.sockets
        return sockets[-1] if sockets and sockets[-1].is_open else None

    async def read(self) -> None:
        """Look at what the newest socket has got."""
        if self.server is None:
            return
        position = len(self.transport.sockets)
        for frame in await self.server.received():
            assert position in self.greeted, "nothing is sent before the first frame"
            if isinstance(frame, ActionRequest):
                assert frame.id not in self.sent, "no call is sent twice"
                self.sent[frame.id] = position
                self.unanswered.append((frame.id, frame.args[0]))
            else:
                assert isinstance(frame, SubscriptionRequest)

    async def step(self, step: str) -> None:
        await self.read()
        server = self.server
        match step:
            case "call":
                call = self.conn.actor.do(len(self.calls))
                self.calls.append(asyncio.ensure_future(call))
            case "cancel" if self.calls:
                self.calls[-1].cancel()
            case "listen":
                self.listeners.append(self.conn.on("e", lambda: None))
            case "unlisten" if self.listeners:
                stop = self.listeners.pop()
                assert callable(stop)
                stop()
            case "wait":
                await self.clock.advance(31)
            case "unreachable":
                self.transport.refusals.append(ActorError("client", "connection_failed", ""))
            case "init" if server and len(self.transport.sockets) not in self.greeted:
                self.greeted.add(len(self.transport.sockets))
                await server.init()
            case "answer" if server and self.unanswered:
                number, argument = self.unanswered.pop(0)
                await server.send(ActionResponse(number, argument))
            case "fail" if server and self.unanswered:
                number, _ = self.unanswered.pop(0)
                await server.send(ErrorFrame("user", "no", "No", action_id=number))
            case "drop" | "refuse" | "restarting" if server:
                reason = {"drop": "", "refuse": "user.no", "restarting": "actor.restarting"}[step]
                await server.close(1006 if step == "drop" else 1011, reason)
                self.unanswered.clear()
            case _:
                pass
        await settle()


@settings(max_examples=150)
@given(STEPS)
def test_every_call_has_one_outcome(steps: list[str]) -> None:
    async def run() -> None:
        storm = Storm()
        for step in steps:
            await storm.step(step)
        await storm.read()
        await storm.client.aclose()
        await settle()
        assert all(call.done() for call in storm.calls)
        for index, call in enumerate(storm.calls):
            if call.cancelled():
                continue
            error = call.exception()
            if error is None:
                assert call.result() == index
            else:
                assert isinstance(error, ActorError)
        assert storm.conn.status == "idle"
        assert storm.server is None

    asyncio.run(run())
