"""The ``rivetless`` command.

May import everything but ``testing``; nothing in the package imports it.
"""

import sys


def main() -> int:
    """Run the command line; the console script's entry point."""
    print("rivetless: no commands yet", file=sys.stderr)
    return 2
