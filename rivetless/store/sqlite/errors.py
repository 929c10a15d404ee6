"""The boundary at which SQLite's errors become a store's."""

from __future__ import annotations

import apsw

from rivetless.store.base import OutcomeUnknown, StoreError, Unavailable


def translate(error: Exception) -> Exception:
    """Return what a caller learns from an error before a commit: nothing was written.

    What is no error of SQLite's is a mistake in a program, and is returned as it is.
    """
    if isinstance(error, apsw.Error):
        return _because(Unavailable(_sentence(error)), error)
    return error


def translate_commit(error: Exception) -> StoreError:
    """Return what a caller learns from an error of the commit itself."""
    if isinstance(error, apsw.FullError | apsw.BusyError):
        # The commit's last page was not written, and without it the others count for nothing.
        return _because(Unavailable(_sentence(error)), error)
    # The last page may be on the disk although it could not be synced. This process goes on
    # without it, but if it dies now the next one may find it.
    return _because(OutcomeUnknown(_sentence(error)), error)


def _because(error: StoreError, cause: Exception) -> StoreError:
    error.__cause__ = cause
    return error


def _sentence(error: Exception) -> str:
    match error:
        case apsw.BusyError() | apsw.LockedError():
            return "another process is using the database file"
        case apsw.FullError():
            return "the disk is full"
        case apsw.ReadOnlyError() | apsw.PermissionsError():
            return "the database file cannot be written to"
        case apsw.CantOpenError():
            return "the database file cannot be opened"
        case apsw.CorruptError() | apsw.NotADBError():
            return f"the database file is damaged, or is none: {error}"
        case _:
            return f"SQLite: {error}"
