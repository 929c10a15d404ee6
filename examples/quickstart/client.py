"""Talk to the counter from Python."""

import asyncio
import sys

from examples.quickstart.app import Counter
from rivetless import Client


async def main(endpoint: str = "http://localhost:6420") -> None:
    async with Client(endpoint) as client:
        counter = client.get_or_create(Counter, "my-counter")  # typed as Counter
        async with client.connect(counter) as connection:
            connection.on(Counter.changed, lambda count: print("changed:", count))  # count: int
            print("returned:", await connection.actor.increment(3))
        print("returned:", await counter.increment())  # a single call needs no connection


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
