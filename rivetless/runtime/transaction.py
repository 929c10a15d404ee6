"""``Transaction``: what one run of a turn has seen, and what it wants to have written.

It begins on a snapshot of the actor and gathers changes to it until they are one commit. Whose
doings those are it does not know: the handler's side is ``turn``.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from rivetless import errors
from rivetless.runtime import replies
from rivetless.runtime.messages import MARK, mark
from rivetless.runtime.presence import Presence
from rivetless.runtime.records import LISTENED
from rivetless.runtime.steps import Snapshot, Step, Superseded
from rivetless.store.base import KEEP, Changes, Collection, Creation, Keep, Record, RecordKey
from rivetless.workflow.declare import workflow_of

if TYPE_CHECKING:
    from rivetless.actor.definition import ActorDefinition
    from rivetless.runtime.cell import Cell
    from rivetless.runtime.effects import Effect
    from rivetless.runtime.job import Job
    from rivetless.runtime.parts import Part
    from rivetless.runtime.runtime import Runtime

UNREAD: Final = object()
"""Stands for a state that the handler has not looked at."""


class Transaction:
    """One run of a turn, as its commit sees it.

    Attributes:
        actor: the instance whose handlers run.
        base: what the run saw when it began (or after its last checkpoint).
        puts, deletes: records that join the commit.
        absent: records that must not be there yet; else the turn ends in ``Duplicate``.
        touch: whether the commit moves the version although it changes no state.
        effects: what leaves once the commit is durable.
        creation: set on the turn that begins a life.
        reply: the encoded answer to remember for calls with a key.
        later: work that begins after the commit.
        sleeping, destroying: what the handler asked for.
        read_records: tick of when it last read records, which ``base`` does not cover; 0 if never.
        presence: the connections, as this run sees them.
        ended: whether the run is over.
    """

    __slots__ = (
        "_parts",
        "_state",
        "_state_locked",
        "absent",
        "actor",
        "actor_id",
        "base",
        "cell",
        "creation",
        "deletes",
        "destroying",
        "effects",
        "ended",
        "job",
        "later",
        "presence",
        "puts",
        "read_records",
        "reply",
        "runtime",
        "sleeping",
        "touch",
    )

    actor: Any

    def __init__(
        self, runtime: Runtime, cell: Cell, job: Job, actor_id: str, base: Snapshot | None
    ) -> None:
        self.runtime = runtime
        self.cell = cell
        self.job = job
        self.actor_id = actor_id
        self.base = base or cell.snapshot()
        self.puts: list[Record] = []
        self.deletes: list[RecordKey] = []
        self.absent: list[RecordKey] = []
        self.effects: list[Effect] = []
        self.later: list[Coroutine[Any, Any, object]] = []
        self.creation: Creation | None = None
        self.reply: bytes | None = None
        self.sleeping = False
        self.destroying = False
        self.read_records = 0
        self.touch = False
        self.ended = False
        self.presence = Presence(self)
        self._state: Any = UNREAD
        self._state_locked = False
        self._parts: dict[type[Part], Part] = {}

    @property
    def definition(self) -> ActorDefinition:
        return self.job.definition

    def check_open(self) -> None:
        """Refuse what a handler left behind.

        Raises:
            ActorError: ``actor.invalid_operation``: the turn has ended.
        """
        if self.ended:
            raise errors.ActorError(
                "actor",
                "invalid_operation",
                "The turn has ended. Await what you start in a handler, or hand it to "
                "`self.wait_until(...)`, which gives it a turn of its own.",
            )

    # -- state ------------------------------------------------------------------------------------

    def get_state(self) -> Any:
        state = self._state
        if state is UNREAD:
            self.check_open()
            schema = self.job.definition.state
            if schema is None:
                raise errors.make("actor.state_not_enabled")
            data = self.base.state
            if data is None:
                raise errors.ActorError(
                    "actor", "invalid_operation", "There is no state before `create_state` ended."
                )
            self._state = state = schema.load(data)
        return state

    def set_state(self, value: object) -> None:
        self.check_open()
        if self.job.definition.state is None:
            raise errors.make("actor.state_not_enabled")
        if self._state_locked:
            raise errors.make("actor.state_mutation_reentrant")
        self._state = value

    def _changed_state(self) -> bytes | Keep:
        """Encode the state if the handler changed it."""
        state, schema = self._state, self.job.definition.state
        if state is UNREAD or schema is None:
            return KEEP
        data, before = schema.dump(state), self.base.state
        if before is not None and (data == before or schema.same(before, data)):
            return KEEP
        return data

    def new_state(self) -> bytes | Keep | None:
        """Encode the state if the handler changed it; tell ``on_state_change``."""
        data = self._changed_state()
        if data is KEEP:
            return KEEP
        limit = self.runtime.store.capabilities.max_state_bytes
        if len(data) > limit:
            raise errors.state_too_large(len(data), limit)
        if "on_state_change" in self.job.definition.hooks and self.base.state is not None:
            self._state_locked = True
            try:
                self.actor.on_state_change(self._state)
            finally:
                self._state_locked = False
            if self._changed_state() != data:
                raise errors.make("actor.state_mutation_reentrant")
        return data

    # -- the commit -------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Let the parts read what their writes depend on; to be called before ``changes``."""
        for part in list(self._parts.values()):
            await part.prepare()

    def changes(self, *, last: bool = True) -> Changes | None:
        """Collect everything the run wants to write; ``None`` if that is nothing.

        Args:
            last: whether the run is over; if not, it is a checkpoint, and destroys nothing yet.

        Raises:
            ActorError: the state is too large, or ``on_state_change`` changed it.
            UnstorableError: the state does not fit its type.
        """
        state = self.new_state()
        conn_states = self.presence.changed()
        opened = {r.key for r in self.puts if r.collection is Collection.CONNECTION}
        subscribes = any(r.collection is Collection.SUBSCRIPTION for r in self.puts)
        first_listens = subscribes and not self.cell.counter(LISTENED)
        touch = self.touch or first_listens or any(r.key not in opened for r in conn_states)
        puts = (*self.puts, *conn_states) if conn_states else tuple(self.puts)
        destroying = last and self.destroying
        wrote = state is not KEEP or touch or destroying or self.creation is not None
        # After a checkpoint there is a note that the turn has begun; the answer ends it.
        remember = self.reply is not None and bool(self.effects or self.job.checkpoints)
        if not (wrote or puts or self.deletes or remember or self._parts):
            return None
        changes = Changes(
            commit_id=self.runtime.fresh_commit_id(),
            create=self.creation,
            state=state,
            destroyed_at=self.runtime.clock.now() if destroying else None,
            touch=touch,
            puts=puts,
            deletes=tuple(self.deletes),
            absent=tuple(self.absent),
            counters={LISTENED: 1} if first_listens else {},
        )
        if self.creation is not None and workflow_of(self.definition.cls) is not None:
            # Should this process die, the sweeper begins the workflow.
            changes = replace(changes, outbox_add=(mark(self.runtime.clock.now()),))
        for part in self._parts.values():
            changes = part.contribute(changes)
        if changes.empty and not remember:
            return None
        if destroying and "run" in self.definition.hooks:
            changes = replace(changes, outbox_clear=(*changes.outbox_clear, MARK))
        if self.reply is not None:
            changes = replies.remember(changes, self.runtime.clock, self.cell, self.job, self.reply)
        return changes

    def no_changes(self) -> Changes:
        """Return changes that write nothing, for a step that has only effects."""
        return Changes(self.runtime.fresh_commit_id())

    def _collected(self, *, but: type[Part] | None = None) -> bool:
        """Whether a part has something to write; one kind of them may be left out."""
        nothing = self.no_changes()
        parts = (part for kind, part in self._parts.items() if kind is not but)
        return any(not part.contribute(nothing).empty for part in parts)

    def sent(self, step: Step) -> None:
        """What the run wants to write is on its way."""
        for part in self._parts.values():
            part.sent(step)

    def released(self) -> None:
        """What the run has written is durable."""
        for part in self._parts.values():
            part.released()

    # -- what it depends on -----------------------------------------------------------------------

    @property
    def has_read(self) -> bool:
        """Whether the outcome may depend on something that another turn could have changed."""
        return self._state is not UNREAD or self.presence.has_read or self.read_records > 0

    def check_base(self) -> None:
        """Make sure that the turn may write on top of the chain.

        Raises:
            Superseded: it may not; somebody was faster.
        """
        moved = self.cell.moved(self.base)
        if moved is not None:
            raise moved
        holder = self.cell.holder
        if holder is None:
            return
        job = self.job.cause or self.job
        if holder != job.turn_id(self.runtime.fresh_id) and not job.descends_from(holder):
            raise Superseded(elsewhere=False)

    def go_on_from(self, base: Snapshot) -> None:
        """After a checkpoint: what was committed is the new base."""
        self.base = base
        self.puts, self.deletes, self.absent, self.effects = [], [], [], []
        self.read_records = 0
        for part in self._parts.values():
            part.committed()

    def rebase(self) -> None:
        """Move to the end of the chain, if what the run has read is the same there."""
        if self.read_records or self.presence.has_read:
            return
        end = self.cell.snapshot()
        if end.epoch == self.base.epoch and (self._state is UNREAD or end.state == self.base.state):
            self.base = end

    # -- undoing ----------------------------------------------------------------------------------

    def savepoint(self) -> Callable[[], None]:
        """Remember what the turn has done so far; the function returned undoes what came after.

        Raises:
            UnstorableError: the state does not fit its type.
        """
        schema, state = self.job.definition.state, self._state
        data = schema.dump(state) if schema is not None and state is not UNREAD else None
        undo_presence = self.presence.savepoint()
        lists: tuple[list[Any], ...] = (
            self.puts,
            self.deletes,
            self.absent,
            self.effects,
            self.later,
        )
        lengths = [len(items) for items in lists]
        asked = self.sleeping, self.destroying
        parts = {kind: part.savepoint() for kind, part in self._parts.items()}

        def undo() -> None:
            for kind in [kind for kind in self._parts if kind not in parts]:
                del self._parts[kind]
            for undo_part in parts.values():
                undo_part()
            self._state = UNREAD
            if data is not None and schema is not None:
                self._state = schema.load(data)
            undo_presence()
            for work in self.later[lengths[-1] :]:
                work.close()
            for items, length in zip(lists, lengths, strict=True):
                del items[length:]
            self.sleeping, self.destroying = asked

        return undo
