"""The embedded store: one SQLite file, shared by any number of processes of one machine.

May import ``store.base``, ``store.limits``, keys, errors and clock, and is the only place that
imports ``apsw``.
"""

from __future__ import annotations

from rivetless.errors import missing_extra

try:
    from rivetless.store.sqlite.store import SQLiteStore
except ModuleNotFoundError as error:
    if error.name != "apsw":
        raise
    missing_extra("server", "apsw")

__all__ = ["SQLiteStore"]
