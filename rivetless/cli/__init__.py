"""The ``rivetless`` command.

May import everything but ``testing``; nothing in the package imports it.
"""

from rivetless.cli.main import main

__all__ = ["main"]
