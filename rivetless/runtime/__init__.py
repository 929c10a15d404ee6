"""One turn of an actor: load, run, commit, dispatch.

Hosts give it frozen commands (``commands``) and a way to reach sockets (``ports``); it holds all
actor logic that is not the user's. May import everything below it (``actor``, ``store.base``,
``protocol``, ``client``); knows no HTTP, no ASGI and no AWS.
"""
