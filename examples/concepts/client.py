"""The Python client: handles, input, errors, idempotency keys."""

import asyncio
import sys

from examples.concepts.identity import Game, GameInput
from rivetless import ActorError, Client


async def main(endpoint: str = "http://localhost:6420") -> None:
    async with Client(endpoint) as client:
        # --8<-- [start:handles]
        game = client.get_or_create(Game, ["berlin", "7"], input=GameInput(players=["Ann", "Bob"]))
        same = client.get(Game, ["berlin", "7"])  # never creates
        actor_id = await client.resolve(game)
        this_life = client.get_for_id(Game, actor_id)  # never leads to a later game of that key
        # --8<-- [end:handles]

        # --8<-- [start:create]
        try:
            await client.create(Game, ["berlin", "7"], input=GameInput(players=["Eve"]))
        except ActorError as error:
            print(error.group, error.code)  # actor duplicate_key
        # --8<-- [end:create]

        # --8<-- [start:by-name]
        untyped = client.get("game", ["berlin", "7"])
        print((await untyped.score("Ann", 4))["points"])
        # --8<-- [end:by-name]

        # --8<-- [start:idempotency]
        keyed = client.with_options(game, idempotency_key="turn-12")
        await keyed.score("Ann", 5)
        await keyed.score("Ann", 5)  # the same call again: answered, not run
        # --8<-- [end:idempotency]
        print((await same.score("Ann", 0)).points, (await this_life.describe())["name"])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
