"""Serve your actors with any ASGI server: ``uvicorn main:app --ws websockets-sansio``.

Copy this file, and import your own registry. The environment says the rest:

- ``RIVETLESS_STORE``: where actors last, e.g. ``sqlite:/var/lib/actors.db``
- ``RIVETLESS_SECRET``: shared by all processes, if more than one serves the same store
- ``RIVETLESS_ADMIN_TOKEN``: lets its bearer list and destroy actors from other machines
"""

from rivetless import Actor, action, setup


class Greeter(Actor):
    """Replace this by actors of your own."""

    @action
    async def greet(self, name: str) -> str:
        """Greet somebody."""
        return f"Hello, {name}!"


registry = setup(use=[Greeter])

app = registry.handler()
