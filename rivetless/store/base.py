"""The seam between turns and whatever keeps them: records, ``Changes``, and the ``Store`` protocol.

A store keeps, for every *life* of an actor, one **head** and any number of **records** beside it.
The head is versioned and fences every commit; records are small named values in collections
(connections, subscriptions, stored replies, timers, queue messages, KV pairs).

The shape is made for a store of items: one head is one item of at most 400 KB, one commit is one
conditional write when it touches only the head and one transaction of at most 100 items when it
touches records, and nothing is ever joined. SQL stores find it easy.
"""

from __future__ import annotations

import enum
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import field
from types import TracebackType
from typing import Final, Protocol, Self

from rivetless.frozen import frozen
from rivetless.keys import Address

RECORD_FORMAT: Final = 1
"""Number of the head's record format; older code refuses newer ones."""

RECENT_COMMITS: Final = 32
"""How many commit ids a head remembers, so that a lost acknowledgement can be looked up."""

RECENT_REPLIES: Final = 16
"""How many small replies a head remembers; larger or older ones are records with an expiry."""

REPEATS: Final = 1000
"""How many bare commits a store remembers at least, so that one that is sent again counts once."""

DRAINED_FOR: Final = 600.0
"""Seconds for which a store remembers that a life was drained: no write is on its way so long."""


class Keep(enum.Enum):
    """Marks a field of ``Changes`` that a commit leaves as it is (``None`` clears it)."""

    KEEP = "keep"


KEEP: Final = Keep.KEEP


class Collection(enum.StrEnum):
    """The kinds of records beside a head. One letter each: it is part of every sort key."""

    CONNECTION = "c"
    CONN_STATE = "d"
    SUBSCRIPTION = "s"
    LISTENING = "e"
    REPLY = "r"
    SCHEDULE = "t"
    CRON = "u"
    HISTORY = "h"
    MESSAGE = "q"
    DEAD = "x"
    KV = "k"


@frozen
class Record:
    """One named value beside a head.

    Attributes:
        collection: which family it belongs to.
        key: unique in its collection; records are read in the byte order of it.
        data: the value, opaque to the store.
        expires_at: Unix seconds from which on the store may drop it and must not return it.
        host: id of the host that holds the socket, on records ``Store.hosted`` has to find.
    """

    collection: Collection
    key: bytes
    data: bytes
    expires_at: float | None = None
    host: str | None = None


@frozen
class RecordKey:
    """Names a record to delete."""

    collection: Collection
    key: bytes


@frozen
class Append:
    """A record whose key the store chooses: the next number of its collection, in this life.

    Keys are 8 bytes that sort as the numbers do (``Append.key``), begin at 1, rise strictly and are
    never given twice, also not after the record was removed. Who appends at the same time is put
    in an order; nobody's version moves. A collection that is appended to takes no other keys.

    Attributes:
        collection: where it is appended.
        data: the value, opaque to the store.
        expires_at: as of a ``Record``.
    """

    collection: Collection
    data: bytes
    expires_at: float | None = None

    @staticmethod
    def key(number: int) -> bytes:
        """Return the key of the record that was given a number."""
        return number.to_bytes(8, "big")

    @staticmethod
    def number(key: bytes) -> int:
        """Return the number that a key was made of."""
        return int.from_bytes(key, "big")


@frozen
class Lease:
    """A turn's wish to be left alone, an aid to progress that no data depends on.

    Attributes:
        holder: the turn's id.
        expires_at: Unix seconds; after it anybody may take the lease.
        chain: actor ids of the call the holder is part of, outermost first.
        closed: whether not even calls from the holder's own chain pass (``actor.deadlock``).
    """

    holder: str
    expires_at: float
    chain: tuple[str, ...] = ()
    closed: bool = False


@frozen
class Reply:
    """The stored answer to a call that carried a key, given again when the call is repeated.

    Attributes:
        key: the call key or idempotency key, already scoped to its caller.
        check: a hash of action and arguments; a repeat that differs is an error.
        data: the encoded answer.
        expires_at: Unix seconds.
    """

    key: str
    check: str
    data: bytes
    expires_at: float


@frozen
class Outgoing:
    """A durable effect on another actor, dispatched after the commit and then cleared.

    Attributes:
        id: unique in the head; the receiver deduplicates by it.
        created_at: Unix seconds; the sweeper takes entries older than 30 s. Entries of one instant
            are kept in the order of their ids.
        data: the encoded effect.
    """

    id: str
    created_at: float
    data: bytes


@frozen
class Head:
    """The one record with a life's address, version and state. A value: stores hand out new ones.

    Attributes:
        actor_id: 30 characters; the address's hash and the life.
        address: namespace, name and key.
        version: moves by one with every versioned commit; 1 on creation.
        state: the encoded state, or ``None`` for an actor that has none.
        created_at: Unix seconds.
        destroyed_at: Unix seconds; set on a tombstone, which has no state, alarm or lease.
        alarm: Unix seconds at which the actor must be woken, or ``None``.
        armed_until: the earliest alarm a wake was already sent for (a hint, unversioned).
        lease: who asked to be left alone, if anybody.
        commits: ids of the last ``RECENT_COMMITS`` versioned commits, oldest first.
        replies: the last ``RECENT_REPLIES`` small stored replies, oldest first.
        outbox: effects that are not known to be dispatched yet, by id, oldest first.
        counters: totals kept by addition (unversioned), e.g. ``{"messages": 3}``.
        sequences: the last number given in each collection that was appended to (unversioned).
        code_version: the highest version of the user's code that wrote this head (versioned
            commits only).
        format: the record format it was written in (versioned commits only).
    """

    actor_id: str
    address: Address
    version: int
    state: bytes | None
    created_at: float
    destroyed_at: float | None = None
    alarm: float | None = None
    armed_until: float | None = None
    lease: Lease | None = None
    commits: tuple[str, ...] = ()
    replies: tuple[Reply, ...] = ()
    outbox: Mapping[str, Outgoing] = field(default_factory=dict[str, Outgoing])
    counters: Mapping[str, int] = field(default_factory=dict[str, int])
    sequences: Mapping[str, int] = field(default_factory=dict[str, int])
    code_version: int = 0
    format: int = RECORD_FORMAT


@frozen
class Creation:
    """Says that a commit begins a life."""

    address: Address
    created_at: float


@frozen
class Changes:
    """Everything one commit writes. Frozen; several merge into one (``changes.merge``).

    The first group of fields is *versioned*: a commit that sets any of them names the version it
    was prepared on and moves it. The second group is *commutative*: it may also be committed
    without a version, on the condition that the life exists. Within one value removals come before
    additions, and of two additions of one thing the later one counts. The third group are
    *conditions* beside the version; where one does not hold, nothing is written.

    Attributes:
        commit_id: unique id of this commit, remembered by the head when the commit is versioned;
            1 to 64 visible ASCII characters.
        create: begins the life; the expected version is then 0.
        state: the new encoded state.
        alarm: the new alarm; ``None`` disarms.
        lease: the new lease; ``None`` releases.
        replies: small replies to remember in the head's ring.
        destroyed_at: turns the head into a tombstone (state, alarm, lease and replies go).
        code_version: raises the head's ``code_version``; moves no version by itself.
        touch: moves the version although nothing else versioned is written.
        puts: records to write, each as a whole.
        deletes: records to remove; removing what is not there is fine.
        appends: records to write under the next numbers of their collections, in this order.
        outbox_add: effects to remember until they are dispatched.
        outbox_clear: ids of effects that were dispatched.
        counters: amounts to add to the head's counters.
        armed_until: the new hint; not cleared by a later alarm.
        absent: records that must not exist (one that has expired does not), e.g. one that is put to
            remember what has arrived; else ``Duplicate``. A key named twice is never absent.
        at_most: limits of counters; a commit that raises one above its limit is ``Full``.
    """

    commit_id: str
    create: Creation | None = None
    state: bytes | Keep | None = KEEP
    alarm: float | Keep | None = KEEP
    lease: Lease | Keep | None = KEEP
    replies: tuple[Reply, ...] = ()
    destroyed_at: float | None = None
    code_version: int | None = None
    touch: bool = False

    puts: tuple[Record, ...] = ()
    deletes: tuple[RecordKey, ...] = ()
    appends: tuple[Append, ...] = ()
    outbox_add: tuple[Outgoing, ...] = ()
    outbox_clear: tuple[str, ...] = ()
    counters: Mapping[str, int] = field(default_factory=dict[str, int])
    armed_until: float | Keep | None = KEEP

    absent: tuple[RecordKey, ...] = ()
    at_most: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def versioned(self) -> bool:
        """Whether these changes move the head's version."""
        return (
            self.create is not None
            or self.touch
            or self.state is not KEEP
            or self.alarm is not KEEP
            or self.lease is not KEEP
            or bool(self.replies)
            or self.destroyed_at is not None
        )

    @property
    def touches_head(self) -> bool:
        """Whether these changes write something commutative to the head itself."""
        return bool(
            self.appends
            or self.outbox_add
            or self.outbox_clear
            or self.counters
            or self.armed_until is not KEEP
        )

    @property
    def enriching(self) -> bool:
        """Whether they add something that a tombstone does not take any more."""
        return self.versioned or bool(self.puts or self.appends or self.outbox_add)

    @property
    def bare(self) -> bool:
        """Whether they are records that are put and deleted, on no condition but the life.

        Nothing in a store shows whether such a commit was made, and it could be made at any time.
        """
        return bool(self.puts or self.deletes) and not (
            self.versioned or self.touches_head or self.absent
        )

    @property
    def appended(self) -> dict[str, int]:
        """How many records each collection is appended."""
        counts: dict[str, int] = {}
        for append in self.appends:
            name = append.collection.value
            counts[name] = counts.get(name, 0) + 1
        return counts

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write or to ask at all."""
        return not (self.versioned or self.puts or self.deletes or self.absent or self.touches_head)


@frozen
class Capabilities:
    """What a store can hold and promise, as data.

    Attributes:
        single_writer: nobody but this object can write, so a cached head is never stale.
        max_state_bytes: the largest state; beyond it a commit is refused, nothing written.
        max_record_bytes: the largest record.
        max_key_bytes: the longest key of a record.
        max_commit_records: how many records one commit may put and delete together.
        max_commit_bytes: how much one commit may write in all: values and the keys of records.
    """

    single_writer: bool = False
    max_state_bytes: int = 16 * 1024 * 1024
    max_record_bytes: int = 16 * 1024 * 1024
    max_key_bytes: int = 16 * 1024
    max_commit_records: int = 10_000
    max_commit_bytes: int = 64 * 1024 * 1024


OVER: Final = "over:"
"""Stands for the URL of a host that is over, however long it is written down."""


@frozen
class Host:
    """A process that holds sockets, known to the others by its heartbeat.

    Whoever counts as dead has ended for good: a process that comes back has another id.

    Attributes:
        id: unique; a process has one at a time.
        url: base URL of its private listener; empty if it has none, ``OVER`` if it is over.
        expires_at: Unix seconds after which it counts as dead.
    """

    id: str
    url: str
    expires_at: float

    @property
    def over(self) -> bool:
        """Whether it has said itself that it holds no sockets any more."""
        return self.url == OVER


@frozen
class Due:
    """An actor the sweeper has to look at.

    Attributes:
        actor_id: the life.
        at: since when, as far as the index knows (Unix seconds).
    """

    actor_id: str
    at: float


class StoreError(Exception):
    """Something the store could not do. The subclasses say what the caller may conclude."""


class Conflict(StoreError):
    """Refused, nothing written: the head is not at the expected version (or already exists).

    Attributes:
        current: the head as it is now, where the store learned it by refusing; else ``None``.
    """

    def __init__(self, actor_id: str, current: Head | None) -> None:
        super().__init__(f"the head of actor {actor_id} has moved")
        self.current = current


class Gone(StoreError):
    """Refused, nothing written: this life does not exist (any more)."""


class Duplicate(StoreError):
    """Refused, nothing written: a record that was to be absent is there."""


class Full(StoreError):
    """Refused, nothing written: a counter would have risen above its limit.

    Attributes:
        counter: its name.
        limit: its limit.
    """

    def __init__(self, counter: str, limit: int) -> None:
        super().__init__(f"{counter!r} would be more than {limit}")
        self.counter = counter
        self.limit = limit


class TooLarge(StoreError):
    """Refused, nothing written: the state, a record or the whole commit is over a limit.

    Attributes:
        what: what is too large, e.g. ``"state"``.
        size: its size in bytes (or the number of records).
        limit: the limit, in the same unit.
    """

    def __init__(self, what: str, size: int, limit: int) -> None:
        super().__init__(f"{what} is {size}, over the store's limit of {limit}")
        self.what = what
        self.size = size
        self.limit = limit


class Unavailable(StoreError):
    """Nothing was written and the store cannot be reached now; trying again later may work."""


class OutcomeUnknown(StoreError):
    """The commit may or may not have been applied: its acknowledgement was lost."""


class NewerFormat(StoreError):
    """The head was written in a format (or by a code version) that this code does not know."""


class Store(Protocol):
    """Keeps actors. Ten verbs, all async; each speaks of actors, never of SQL or of items.

    A store is an async context manager. Its verbs may be called concurrently, from one event loop.
    Every verb may raise ``Unavailable``; ``commit`` may also raise what it documents.
    """

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What this store can hold and promise."""

    @abstractmethod
    async def __aenter__(self) -> Self:
        """Open the store."""

    @abstractmethod
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish what is under way and close the store."""

    @abstractmethod
    async def load(self, ref: Address | str) -> Head | None:
        """Read a head by address or by actor id, strongly consistent, in one read.

        Returns the head, a tombstone included; ``None`` when there is none, or when the id names
        another life than the present one. The head's whole address is compared, not its hash only.
        """

    @abstractmethod
    async def current(self, actor_id: str, version: int) -> bool:
        """Say whether the life's head is at ``version`` right now (strongly consistent)."""

    @abstractmethod
    async def commit(self, actor_id: str, changes: Changes, *, expected: int | None) -> int:
        """Apply ``changes`` whole or not at all; durable when this returns.

        A caller that is cancelled while it waits does not know the outcome; the commit is
        nevertheless applied whole or not at all.

        ``bare`` changes without a version may be sent again, as they were and under their id, when
        the outcome is not known: the first copy to arrive is the only one that is applied. So once
        a copy is acknowledged, none undoes what others have written since. The store remembers
        ``REPEATS`` of them; one on which calls may be late, all for ``DRAINED_FOR`` seconds.

        Args:
            actor_id: the life. With ``changes.create`` it names the life to begin.
            changes: what to write.
            expected: the version the changes were prepared on; 0 with ``create``; ``None`` for
                changes that are not versioned, which then need only the life: alive if they are
                ``enriching``, alive or a tombstone otherwise. A version given with changes that are
                not versioned is checked, and does not move.

        Returns:
            The head's version afterwards: ``expected + 1`` for a versioned commit, else the
            present one; 0 where no version was named and the store would have to read it.

        Raises:
            Gone: the life does not exist, or is a tombstone and the changes are ``enriching``.
                Whatever the version. Or ``create`` names a life that was drained in the last
                ``DRAINED_FOR`` seconds: the commit has come too late, or for a second time.
            Conflict: the head is at another version; or ``create`` found a head, be it a tombstone
                (``drain`` makes room).
            TooLarge: over one of ``capabilities``.
            NewerFormat: versioned, and the head is in a format this code does not know.
            Full: a counter would rise above its limit in ``at_most``.
            Duplicate: a record of ``absent`` is there. Of several reasons the first named here is
                given, except that what no head could allow (a key named twice, a life that begins
                above a limit) comes first.
            OutcomeUnknown: the acknowledgement was lost.
            ValueError: the call makes no sense (``limits.check``).
        """

    @abstractmethod
    async def records(
        self,
        actor_id: str,
        collection: Collection,
        *,
        start: bytes = b"",
        end: bytes | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> list[Record]:
        """Read the collection's records with ``start <= key < end``, in key order (or reversed).

        Strongly consistent. ``limit`` applies after ``reverse``. Expired records are left out.
        """

    @abstractmethod
    async def list(
        self,
        namespace: str,
        name: str,
        *,
        limit: int,
        before: float | tuple[float, str] | None = None,
        include_destroyed: bool = False,
    ) -> Sequence[Head]:
        """List the actors of one name, newest first; eventually consistent.

        Of the heads only ids, addresses, versions and dates are promised; the rest may be left out.

        Args:
            namespace: where to look.
            name: wire name of the actor class.
            limit: at most so many.
            before: only those created before this instant; or, so that a page can end between two
                actors of one instant, only those before this ``(created_at, actor_id)``.
            include_destroyed: list tombstones too.
        """

    @abstractmethod
    async def due(self, now: float, *, limit: int) -> Sequence[Due]:
        """Find lives the sweeper has to look at, each once, longest due first.

        Those are lives with an alarm at or before ``now``, with an outbox entry created at or
        before it, and tombstones from then. An index may lag behind: what is found may no longer
        be due, and what has become due just now may be missing.
        """

    @abstractmethod
    async def drain(self, actor_id: str, *, limit: int = 100) -> bool:
        """Delete up to ``limit`` records of a tombstone; with the last one, the tombstone itself.

        A tombstone whose outbox is not empty keeps its head. A life that is alive is left alone.
        Returns whether the life's head is gone; it may need further calls. Where it is, another
        life may begin at the address, and this one cannot begin again.
        """

    @abstractmethod
    async def announce(self, host: Host) -> None:
        """Write a host's heartbeat, unless one that holds longer is there: it came before this one.

        One with ``expires_at`` 0 removes what there is.
        """

    @abstractmethod
    async def hosts(self) -> Sequence[Host]:
        """Read all hosts, also those that have expired."""

    @abstractmethod
    async def hosted(self, host: str, *, limit: int = 100) -> Sequence[tuple[str, Record]]:
        """Find the records, with their actors' ids, that carry this host and have not expired.

        In no particular order. Whoever works through them deletes what it has dealt with.
        """
