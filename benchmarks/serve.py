"""Serve the bench actors: ``python -m benchmarks.serve PORT STORE full|normal``."""

import sys
from typing import Literal, cast

from benchmarks.actors import registry

if __name__ == "__main__":
    _, port, store, synchronous = sys.argv
    registry.serve(
        port=int(port),
        store=store,
        synchronous=cast("Literal['full', 'normal']", synchronous),
    )
