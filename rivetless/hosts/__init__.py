"""Where actors run: each host turns what happens there into commands, and reaches its own sockets.

May import ``gateway`` and everything below it; one host never imports another's vendor libraries.
"""
