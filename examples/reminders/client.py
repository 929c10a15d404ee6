"""Set a reminder and wait for it to ring."""

import asyncio
import sys

from examples.reminders.app import Person
from rivetless import Client


async def main(endpoint: str = "http://localhost:6420") -> None:
    async with Client(endpoint) as client:
        person = client.get_or_create(Person, "ann")
        async with client.connect(person) as connection:
            rings = connection.events(Person.rang)
            await connection.actor.remind_me("tea is ready", 0.5)
            print("pending:", [each.text for each in await person.pending()])
            print("rang:", (await anext(rings)).text)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
