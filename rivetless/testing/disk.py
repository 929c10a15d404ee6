"""A disk whose power can be cut, for stores that use SQLite.

``Disk`` is an SQLite VFS over the operating system's files that remembers what was written since
the last sync. When its power is cut, every later write fails, and ``survivors`` brings out what
such a disk might hold: all that was synced, and of the rest an arbitrary part, sector by sector.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import apsw

if TYPE_CHECKING:
    from typing_extensions import Buffer

SECTOR: Final = 512

_numbers: Final = itertools.count()


@dataclass(slots=True)
class _Write:
    offset: int
    data: bytes


@dataclass(slots=True)
class _Truncation:
    size: int


@dataclass(slots=True)
class _Content:
    """What is known of one file.

    Attributes:
        synced: what is on the disk for sure.
        pending: what was done since, in order.
    """

    synced: bytearray = field(default_factory=bytearray)
    pending: list[_Write | _Truncation] = field(default_factory=list[_Write | _Truncation])


class Disk(apsw.VFS):
    """An SQLite VFS; give its ``name`` to ``SQLiteStore(vfs=...)``. Leave it to unregister it.

    Shared memory, which a write-ahead log's index is in, is not on the disk and does not survive.

    Args:
        seed: decides what survives.

    Attributes:
        name: under which SQLite knows it.
        operations: how many writes, syncs and truncations there were.
        on_operation: called before each of them with its kind and the file's path; may cut the
            power, or raise.
    """

    def __init__(self, seed: int = 0) -> None:
        self.name = f"disk-{next(_numbers)}"
        self.operations = 0
        self.on_operation: Callable[[str, str], None] | None = None
        self._cut = False
        self._random = random.Random(seed)
        self._files: dict[str, _Content] = {}
        super().__init__(self.name, "")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.unregister()

    @property
    def is_cut(self) -> bool:
        """Whether the power is cut."""
        return self._cut

    def cut(self) -> None:
        """Cut the power: from now on nothing is written any more."""
        self._cut = True

    def survivors(self) -> dict[str, bytes]:
        """Return what the files may hold after the power was cut, by their paths."""
        # Sometimes nothing of what was pending, sometimes all of it, mostly a part.
        chance = self._random.choice((0.0, 0.2, 0.5, 0.9, 1.0))
        survived: dict[str, bytes] = {}
        for path, content in self._files.items():
            image = bytearray(content.synced)
            for operation in content.pending:
                if isinstance(operation, _Truncation):
                    if self._random.random() < chance:
                        del image[operation.size :]
                    continue
                for offset, sector in _sectors(operation):
                    if self._random.random() < chance:
                        _write(image, offset, sector)
            survived[path] = bytes(image)
        return survived

    def save_survivors(self, folder: Path) -> None:
        """Write the survivors to files of the same names in another folder."""
        for path, image in self.survivors().items():
            (folder / Path(path).name).write_bytes(image)

    # -- what SQLite calls ------------------------------------------------------------------------

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if path is None:
            return apsw.VFSFile("", None, flags)  # a temporary file, gone with its connection
        if path not in self._files:
            there = Path(path).read_bytes() if Path(path).exists() else b""
            self._files[path] = _Content(bytearray(there))
        return _DiskFile(self, path, self._files[path], name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.operation("delete", filename)
        super().xDelete(filename, syncdir)
        self._files.pop(filename, None)

    def operation(self, kind: str, path: str) -> None:
        """Count an operation; refuse it if the power is cut."""
        self.operations += 1
        if self.on_operation is not None:
            self.on_operation(kind, path)
        if self._cut:
            raise apsw.IOError("the power is cut")


class _DiskFile(apsw.VFSFile):
    """A file on the disk. Locks and shared memory are the operating system's."""

    def __init__(
        self,
        disk: Disk,
        path: str,
        content: _Content,
        name: str | apsw.URIFilename | None,
        flags: list[int],
    ) -> None:
        self._disk = disk
        self._path = path
        self._content = content
        super().__init__("", name, flags)

    def xWrite(self, data: Buffer, offset: int) -> None:
        written = bytes(data)
        was_cut = self._disk.is_cut
        try:
            self._disk.operation("write", self._path)
        except apsw.IOError:
            if not was_cut:
                # The power was cut during this very write: a part of it may be there.
                self._content.pending.append(_Write(offset, written))
            raise
        super().xWrite(written, offset)  # pyright: ignore[reportUnknownMemberType]
        self._content.pending.append(_Write(offset, written))

    def xTruncate(self, newsize: int) -> None:
        self._disk.operation("truncate", self._path)
        super().xTruncate(newsize)
        self._content.pending.append(_Truncation(newsize))

    def xSync(self, flags: int) -> None:
        self._disk.operation("sync", self._path)
        # Nothing needs to reach the real disk: the real power stays on.
        content = self._content
        for operation in content.pending:
            if isinstance(operation, _Truncation):
                del content.synced[operation.size :]
            else:
                _write(content.synced, operation.offset, operation.data)
        content.pending.clear()


def _write(image: bytearray, offset: int, data: bytes) -> None:
    if len(image) < offset:
        image.extend(bytes(offset - len(image)))
    image[offset : offset + len(data)] = data


def _sectors(write: _Write) -> list[tuple[int, bytes]]:
    """Cut a write where the disk's sectors end."""
    pieces: list[tuple[int, bytes]] = []
    at, end = write.offset, write.offset + len(write.data)
    while at < end:
        stop = min(end, (at // SECTOR + 1) * SECTOR)
        pieces.append((at, write.data[at - write.offset : stop - write.offset]))
        at = stop
    return pieces
