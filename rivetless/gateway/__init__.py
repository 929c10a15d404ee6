"""The wire over HTTP and WebSockets: what arrives becomes commands, what is answered becomes bytes.

A plain ASGI application without a framework, so that nothing of one is paid for at start or per
call. May import ``runtime`` and everything below it.
"""
