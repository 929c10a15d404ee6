"""Connections and events: rooms, presence, who may listen."""

from typing import Any

from pydantic import BaseModel

from rivetless import Actor, Conn, Event, UserError, action


class Message(BaseModel):
    sender: str
    text: str


class JoinParams(BaseModel):
    name: str = "anonymous"
    role: str = "guest"
    refuse: str | None = None


class Member(BaseModel):
    name: str
    role: str
    messages: int = 0


class RoomState(BaseModel):
    log: list[str] = []


async def admins_only(room: Any) -> bool:
    """Say whether the connection may listen."""
    if room.conn.state.role == "confused":
        return "yes"  # type: ignore[return-value]  # a mistake of the actor's author
    return bool(room.conn.state.role == "admin")


class Room(Actor[RoomState, Member, JoinParams]):
    """People who talk."""

    message = Event[Message]()
    welcome = Event[str]()
    moved = Event[tuple[int, str]]()
    tick = Event[None]()
    secret = Event[str](can_subscribe=admins_only)
    renamed = Event[str](name="special-event")

    async def on_before_connect(self, params: JoinParams) -> None:
        if params.refuse == "user":
            raise UserError(
                "You are not welcome.", code="not_welcome", metadata={"who": params.name}
            )
        if params.refuse == "crash":
            raise RuntimeError("a secret of the server")
        count = await self.conns.count()
        self.state.log.append(f"before:{params.name}:{count}")

    async def create_conn_state(self, params: JoinParams) -> Member:
        if params.refuse == "state":
            raise UserError("No seat for you.", code="no_seat")
        self.state.log.append(f"state:{params.name}:{await self.conns.count()}")
        return Member(name=params.name, role=params.role)

    async def on_connect(self, conn: Conn[Member, JoinParams]) -> None:
        if conn.params.refuse == "connect":
            raise UserError("Thrown out.", code="thrown_out")
        self.state.log.append(f"connect:{conn.state.name}:{await self.conns.count()}")
        conn.send(self.welcome, f"welcome {conn.state.name}")

    async def on_disconnect(self, conn: Conn[Member, JoinParams]) -> None:
        self.state.log.append(f"disconnect:{conn.state.name}:{await self.conns.count()}")

    @action
    async def log_of_hooks(self) -> list[str]:
        """Return what the hooks wrote."""
        return self.state.log

    @action
    async def say(self, text: str) -> int:
        """Tell everybody."""
        self.conn.state.messages += 1
        self.broadcast(self.message, Message(sender=self.conn.state.name, text=text))
        return self.conn.state.messages

    @action
    async def say_many(self, texts: list[str]) -> None:
        """Tell everybody much."""
        for text in texts:
            self.broadcast(self.message, Message(sender=self.conn.state.name, text=text))

    @action
    async def tell(self, conn_id: str, text: str) -> bool:
        """Tell one."""
        conn = await self.conns.get(conn_id)
        if conn is None:
            return False
        conn.send(self.message, Message(sender=self.conn.state.name, text=text))
        return True

    @action
    async def tell_others(self, text: str) -> int:
        """Tell all but the caller."""
        told = 0
        async for conn in self.conns:
            if conn != self.conn:
                conn.send(self.message, Message(sender=self.conn.state.name, text=text))
                told += 1
        return told

    @action
    async def move(self, distance: int, where: str) -> None:
        """An event of two values."""
        self.broadcast(self.moved, (distance, where))

    @action
    async def tock(self) -> None:
        """An event without a value."""
        self.broadcast(self.tick)

    @action
    async def whisper(self, text: str) -> None:
        """An event not everybody may hear."""
        self.broadcast(self.secret, text)

    @action
    async def rename(self, text: str) -> None:
        """An event with another name on the wire."""
        self.broadcast(self.renamed, text)

    @action
    async def shout(self, event: str, *args: Any) -> None:
        """An event that is not declared."""
        self.broadcast(event, *args)

    @action
    async def say_wrong(self) -> None:
        """An event of the wrong type."""
        wrong: Any = {"sender": 1}
        self.broadcast(self.message, wrong)

    @action
    async def say_and_fail(self, text: str) -> None:
        """An event that must not arrive."""
        self.broadcast(self.message, Message(sender="ghost", text=text))
        raise UserError("Never mind.", code="never_mind")

    @action
    async def say_long(self, size: int) -> None:
        """An event of some size."""
        self.broadcast(self.message, Message(sender="long", text="x" * size))

    @action
    async def me(self) -> dict[str, Any]:
        """Describe the caller's connection."""
        state = self.conn.state
        return {"id": self.conn.id, "name": state.name, "role": state.role, "said": state.messages}

    @action
    async def members(self) -> list[str]:
        """Name everybody who is here."""
        return sorted([conn.state.name async for conn in self.conns])

    @action
    async def promote(self, conn_id: str, role: str) -> None:
        """Change another connection's state."""
        conn = await self.conns.get(conn_id)
        assert conn is not None
        conn.state.role = role

    @action
    async def promote_and_fail(self, role: str) -> None:
        """Change the connection's state in vain."""
        self.conn.state.role = role
        raise UserError("Not you.", code="not_you")

    @action
    async def kick(self, conn_id: str, reason: str) -> None:
        """Close another connection."""
        conn = await self.conns.get(conn_id)
        assert conn is not None
        conn.disconnect(reason)

    @action
    async def same(self) -> dict[str, bool]:
        """Compare connections."""
        found = await self.conns.get(self.conn.id)
        return {
            "equal": found == self.conn,
            "hash": hash(found) == hash(self.conn),
            "hibernatable": self.conn.is_hibernatable,
            "gone": await self.conns.get("nobody") is None,
        }

    @action
    async def doze(self) -> None:
        """End this process's tenure."""
        self.sleep()

    @action
    async def end(self) -> None:
        """Be destroyed."""
        self.destroy()


class OpenState(BaseModel):
    requests: list[str] = []


class Requested(Actor[OpenState]):
    """Looks at the request behind connections."""

    def _note(self, hook: str) -> None:
        request = self.request
        agent = None if request is None else request.headers.get("x-tracking")
        self.state.requests.append(f"{hook}:{agent}")

    async def on_before_connect(self, params: Any) -> None:
        self._note("before")
        if isinstance(params, dict) and params.get("token") == "required":
            request = self.request
            if request is None or request.headers.get("authorization") != "Bearer good":
                raise UserError("Log in.", code="unauthorised")

    async def on_connect(self, conn: Conn[None, Any]) -> None:
        self._note("connect")

    @action
    async def read(self) -> list[str]:
        """Return what the hooks saw."""
        return self.state.requests

    @action
    async def path(self) -> str | None:
        """Return the path of this call's own request."""
        return None if self.request is None else self.request.url.path

    @action
    async def params(self) -> Any:
        """Return the connection's parameters."""
        return self.conn.params
