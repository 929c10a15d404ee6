"""``MockTransport``, as users' tests use it."""

from __future__ import annotations

from typing import Any

import pytest

from rivetless.client import Client, FetchResponse, MockTransport
from rivetless.client.calls import ActionCall, FetchRequest, Location, QueueSend, SocketRequest
from rivetless.client.sockets import memory_sockets
from rivetless.errors import ActorError, UserError
from rivetless.testing.clock import settle

from .actors import ChatRoom, Message


async def test_actions_and_events() -> None:
    async def answer(request: object) -> object:
        match request:
            case ActionCall(action="sendMessage", args=[text]):
                return {"sender": "me", "text": text}
            case ActionCall(action="members"):
                raise UserError("No", code="no")
            case _:
                raise RuntimeError("hidden")

    transport = MockTransport(answer)
    seen: list[str] = []
    async with Client(transport=transport) as client:
        room = client.get(ChatRoom, "general")
        assert (await room.send_message("hi")).text == "hi"
        with pytest.raises(ActorError, match=r"user\.no"):
            await room.members()
        with pytest.raises(RuntimeError):
            await room.admin.ban("x")
        async with client.connect(room) as conn:
            conn.on(ChatRoom.new_message, lambda m: seen.append(m.text))
            conn.on(ChatRoom.cleared, lambda: seen.append("cleared"))
            assert (await conn.actor.send_message("over the socket")).text == "over the socket"
            with pytest.raises(ActorError, match=r"user\.no"):
                await conn.actor.members()
            with pytest.raises(ActorError, match=r"rivetkit\.internal_error"):
                await conn.actor.admin.ban("x")
            await transport.emit(ChatRoom.new_message, Message(sender="a", text="one"))
            await transport.emit(ChatRoom.cleared)
            await transport.emit("newMessage", {"sender": "a", "text": "two"})
            await transport.emit(ChatRoom.moved, (1, "x"))
            await settle()
            assert seen == ["one", "cleared", "two"]
            await transport.disconnect()
            await settle()
            assert conn.status == "connected"
            await transport.emit(ChatRoom.cleared)
            await settle()
            assert seen[-1] == "cleared"
    await transport.aclose()


async def test_everything_else() -> None:
    ends = memory_sockets()

    def answer(request: object) -> Any:
        match request:
            case QueueSend(queue="jobs", body=body):
                return body
            case FetchRequest(path="/text"):
                return "text"
            case FetchRequest(path="/response"):
                return FetchResponse(418)
            case FetchRequest():
                return {"a": [1]}
            case Location():
                return "the-id"
            case SocketRequest(path="/websocket/good"):
                return ends[0]
            case _:
                return None

    transport = MockTransport(answer)
    async with Client(transport=transport) as client:
        handle = client.get("a")
        assert await client.send_and_wait(handle, "jobs", (1, 2)) == [1, 2]
        assert (await client.fetch(handle, "/text")).text == "text"
        assert (await client.fetch(handle, "/response")).status == 418
        assert (await client.fetch(handle, "/other")).json() == {"a": [1]}
        assert await client.resolve(handle) == "the-id"
        async with client.web_socket(handle, "good") as ws:
            await ws.send("x")
            assert await ends[1].receive() == "x"
        with pytest.raises(TypeError, match="memory_sockets"):
            await client.web_socket(handle, "bad")
    assert len(transport.requests) == 7


async def test_without_a_function() -> None:
    transport = MockTransport()
    async with Client(transport=transport) as client:
        with pytest.raises(ActorError, match=r"actor\.action_not_found"):
            await client.get("a").x()
        assert await client.resolve(client.get("a", "k")) == "a['k']"
        await client.send(client.get("a"), "q")
        conn = client.connect(client.get("a"))
        await conn.ready()
