"""Chat rooms: who is there, what was said, who is typing."""

from datetime import UTC, datetime

from pydantic import BaseModel, Field

from rivetless import Actor, Conn, Event, UserError, action, setup

REMEMBERED = 200
LONGEST = 1000


# --8<-- [start:models]
class Message(BaseModel):
    id: int
    author: str
    text: str
    sent_at: datetime


class RoomState(BaseModel):
    """What lasts: the newest messages, and how many there ever were."""

    messages: list[Message] = []
    count: int = 0


class Member(BaseModel):
    """What each connection has of its own."""

    id: str
    name: str


class Typing(BaseModel):
    name: str
    active: bool


class Snapshot(BaseModel):
    """What somebody who comes in sees."""

    messages: list[Message]
    members: list[Member]


class JoinParams(BaseModel):
    """What a client connects with."""

    name: str = Field(min_length=1, max_length=32, pattern=r"\S")


# --8<-- [end:models]


# --8<-- [start:directory]
class DirectoryState(BaseModel):
    rooms: list[str] = []


class Directory(Actor[DirectoryState], icon="list"):
    """The rooms there are. There is one directory; its key is empty."""

    changed = Event[list[str]]()

    @action
    async def add(self, room: str) -> None:
        """List a room; rooms call this when they are created."""
        if room not in self.state.rooms:
            self.state.rooms = sorted([*self.state.rooms, room])
            self.broadcast(self.changed, self.state.rooms)

    @action
    async def rooms(self) -> list[str]:
        """Return the names of all rooms."""
        return self.state.rooms


# --8<-- [end:directory]


# --8<-- [start:room]
class ChatRoom(Actor[RoomState, Member, JoinParams], icon="comments"):
    """A room. Its key is its name."""

    new_message = Event[Message]()
    joined = Event[Member]()
    left = Event[Member]()
    typing = Event[Typing]()

    async def on_create(self) -> None:
        if len(self.key) != 1:
            raise UserError("The key of a room is its name.", code="no_name")
        await self.client.get_or_create(Directory).add(self.key[0])

    # --8<-- [start:presence]
    async def create_conn_state(self, params: JoinParams) -> Member:
        return Member(id=self.conn.id, name=params.name.strip())

    async def on_connect(self, conn: Conn[Member, JoinParams]) -> None:
        self.broadcast(self.joined, conn.state)

    async def on_disconnect(self, conn: Conn[Member, JoinParams]) -> None:
        self.broadcast(self.left, conn.state)

    @action
    async def snapshot(self) -> Snapshot:
        """Return what there is now; from then on the events tell what changes."""
        members = [conn.state async for conn in self.conns]
        return Snapshot(messages=self.state.messages, members=members)

    # --8<-- [end:presence]

    @action
    async def send_message(self, text: str) -> Message:
        """Say something to everybody in the room."""
        text = text.strip()
        if not text:
            raise UserError("There is nothing to say.", code="empty_message")
        if len(text) > LONGEST:
            raise UserError(
                f"A message has at most {LONGEST} characters.",
                code="message_too_long",
                metadata={"limit": LONGEST, "length": len(text)},
            )
        self.state.count += 1
        message = Message(
            id=self.state.count,
            author=self.conn.state.name,
            text=text,
            sent_at=datetime.now(UTC),
        )
        self.state.messages = [*self.state.messages, message][-REMEMBERED:]
        self.broadcast(self.new_message, message)
        return message

    # --8<-- [start:typing]
    @action
    async def set_typing(self, active: bool) -> None:
        """Tell the others that you are typing, or no longer. Nothing is stored."""
        async for conn in self.conns:
            if conn != self.conn:
                conn.send(self.typing, Typing(name=self.conn.state.name, active=active))

    # --8<-- [end:typing]


# --8<-- [end:room]

registry = setup(use=[ChatRoom, Directory])
