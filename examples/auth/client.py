"""Write a document, with a fresh token for each attempt to connect."""

import asyncio
import sys

from examples.auth.app import Credentials, Document
from examples.auth.tokens import issue
from rivetless import ActorError, Client


async def credentials() -> Credentials:
    """Ask the identity provider; here we are it."""
    return Credentials(token=issue("Ann", "acme", "editor", valid_for=300))


async def main(endpoint: str = "http://localhost:6420") -> None:
    async with Client(endpoint) as client:
        document = client.get_or_create(Document, ["acme", "plan"])
        # --8<-- [start:connect]
        async with client.connect(document, credentials) as connection:  # asked at each attempt
            connection.on(Document.edited_by, lambda name: print("edited by", name))
            await connection.actor.write("Make it so.")
        # --8<-- [end:connect]

        # --8<-- [start:viewer]
        token = issue("Vic", "acme", "viewer")
        viewed = client.get(Document, ["acme", "plan"], params=Credentials(token=token))
        print(await viewed.read())
        try:
            await viewed.write("Never mind.")
        except ActorError as error:
            print(error.group, error.code, error.metadata)
        # --8<-- [end:viewer]


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
