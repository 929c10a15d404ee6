"""Actors in a container that stays: what the Dockerfile's uvicorn serves.

Copy this folder, and import your own registry. The environment says the rest: RIVETLESS_STORE
(``dynamodb:TABLE``), RIVETLESS_SECRET, which all containers share, and RIVETLESS_ADMIN_TOKEN.
"""

import socket

from rivetless import Actor, action, setup


class Greeter(Actor):
    """Replace this by actors of your own."""

    @action
    async def greet(self, name: str) -> str:
        """Greet somebody."""
        return f"Hello, {name}!"


PEER_PORT = 6421

registry = setup(use=[Greeter])

# Kubernetes and ECS give each container an address of its own, which its host name leads to.
address = socket.gethostbyname(socket.gethostname())
app = registry.handler(
    peer_host="0.0.0.0", peer_port=PEER_PORT, peer_url=f"http://{address}:{PEER_PORT}"
)
