"""Subscribe to a digest and see when the next one comes."""

import asyncio
import sys

from examples.cron_digest.app import Reader
from rivetless import Client


async def main(endpoint: str = "http://localhost:6420", timezone: str = "Europe/Berlin") -> None:
    async with Client(endpoint) as client:
        reader = client.get_or_create(Reader, "ann")
        await reader.subscribe(timezone)
        await reader.add("an article")
        print("the next digest:", await reader.next_digest())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
