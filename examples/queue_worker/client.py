"""Send pictures to the worker. Usage: python -m examples.queue_worker.client [endpoint]"""

import asyncio
import sys

from examples.queue_worker.app import Picture, Thumbnailer
from rivetless import Client


# --8<-- [start:client]
async def main(endpoint: str) -> str:
    async with Client(endpoint) as client:
        worker = client.get_or_create(Thumbnailer, "ann", params={"customer": "ann"})
        picture = Picture(url="https://example.com/cat.jpg", width=64)
        await client.send(worker, Thumbnailer.pictures, picture)
        thumbnail = await client.send_and_wait(worker, Thumbnailer.pictures, picture, timeout=10)
        return thumbnail.url


# --8<-- [end:client]


# --8<-- [start:letters]
async def try_again(client: Client, customer: str) -> int:
    """Put what was given up back into the customer's queue, but for what never can be made."""
    letters = client.dead_letters(client.get(Thumbnailer, customer))
    for letter in await letters.list(kind="message"):
        if letter.error == "user.bad_url":
            await letters.purge(letter.id)
        else:
            await letters.replay(letter.id)
    return len(await letters.list())


# --8<-- [end:letters]

if __name__ == "__main__":
    found = asyncio.run(main(*sys.argv[1:2] or ["http://localhost:6420"]))
    sys.stdout.write(f"{found}\n")
