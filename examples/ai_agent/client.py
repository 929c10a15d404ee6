"""Talk to the agent. Usage: python -m examples.ai_agent.client [endpoint]"""

import asyncio
import sys

from examples.ai_agent.app import Agent, Answer, Prompt
from rivetless import Client


# --8<-- [start:client]
async def main(endpoint: str, text: str = "to be or not to be") -> tuple[list[str], Answer]:
    """Return the tokens as they came, and the whole answer."""
    async with Client(endpoint) as client:
        agent = client.get_or_create(Agent, "hamlet")
        async with client.connect(agent) as conn:
            words: list[str] = []
            conn.on(Agent.token, lambda token: words.append(token.text))
            await conn.actor.answers()
            answer = await client.send_and_wait(agent, Agent.prompts, Prompt(text=text), timeout=30)
            await conn.actor.answers()  # what was sent before this answer is here
            return words, answer


# --8<-- [end:client]

if __name__ == "__main__":
    said, whole = asyncio.run(main(*sys.argv[1:2] or ["http://localhost:6420"]))
    sys.stdout.write("".join(said) + "\n")
