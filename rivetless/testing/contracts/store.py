"""The whole contract of a store."""

from __future__ import annotations

from rivetless.testing.contracts.appends import AppendContract
from rivetless.testing.contracts.fences import FenceContract
from rivetless.testing.contracts.heads import HeadContract
from rivetless.testing.contracts.records import RecordContract
from rivetless.testing.contracts.sweeps import SweepContract


class StoreContract(AppendContract, FenceContract, HeadContract, RecordContract, SweepContract):
    """What every store must do. Subclass it and override the ``store`` fixture.

    Fixtures to override:
        store: the store under test, open and empty, with the ``clock`` fixture as its clock.
        other: a second store object on the same data, where more than one may have it.
        reopen: how to close the store and open its data again, if not by leaving and entering it.
    """
