"""Sit in a room and say something: python -m examples.chat.client Ann 'Hello there'."""

import asyncio
import sys

from examples.chat.app import ChatRoom, JoinParams, Member, Message
from rivetless import ActorError, Client


def show_message(message: Message) -> None:
    print(f"{message.author}: {message.text}")


def show_newcomer(member: Member) -> None:
    print(f"{member.name} has joined")


async def main(
    name: str, text: str, endpoint: str = "http://localhost:6420", stay: float = 60
) -> None:
    async with Client(endpoint) as client:
        room = client.get_or_create(ChatRoom, "lobby")
        # --8<-- [start:connect]
        async with client.connect(room, JoinParams(name=name)) as connection:
            connection.on(ChatRoom.new_message, show_message)
            connection.on(ChatRoom.joined, show_newcomer)
            connection.on_status(lambda status: print("connection:", status))
            room_now = await connection.actor.snapshot()  # after `on`, so nothing is missed
            print("here:", ", ".join(member.name for member in room_now.members))
            try:
                await connection.actor.send_message(text)
            except ActorError as error:
                print("refused:", error.code, error.metadata)
            await asyncio.sleep(stay)
        # --8<-- [end:connect]


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
