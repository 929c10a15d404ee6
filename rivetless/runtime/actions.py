"""Actions and raw HTTP requests: what a stateless call or a connection asks an actor to do."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, get_args

from rivetless import errors
from rivetless.actor.context import make_request
from rivetless.actor.schedule import FireInfo
from rivetless.actor.turn import ConnInfo
from rivetless.keys import serialise
from rivetless.protocol.codec import require_sendable
from rivetless.protocol.values import JSON, tag
from rivetless.runtime import replies
from rivetless.runtime.commands import (
    ActionResult,
    ActorInfo,
    ById,
    CallAction,
    ConnectionAction,
    GetActor,
    Origin,
    RawRequest,
    RawResponse,
    Target,
    Wake,
)
from rivetless.runtime.job import Body, Job, digest
from rivetless.runtime.responses import read_response

if TYPE_CHECKING:
    from rivetless.actor.definition import ActionDefinition, ActorDefinition
    from rivetless.runtime.connections import Connections
    from rivetless.runtime.runtime import Runtime
    from rivetless.runtime.turn import ActorTurn
    from rivetless.store.base import Head


MARGIN: Final = 0.5
"""Seconds that an action of the actor's own leaves its host to say how it went."""


class Actions:
    """Handles the commands that call an actor's code once and answer."""

    def __init__(self, runtime: Runtime, connections: Connections) -> None:
        self._runtime = runtime
        self._connections = connections

    async def get_actor(self, command: GetActor) -> ActorInfo:
        """Look an actor up, or create it."""
        runtime = self._runtime
        definition = await runtime.cells.definition_of(command.target)
        job = Job(definition, _info, label="get", deadline=runtime.deadline(definition))
        info: ActorInfo = await runtime.execution.run(command.target, job)
        if command.exclusive and not info.created:
            raise errors.duplicate_key(serialise(info.address.key), info.actor_id)
        return info

    async def call(self, command: CallAction) -> ActionResult:
        """Run an action with a connection of its own, as every stateless call has one."""
        runtime = self._runtime
        target, origin = command.target, command.origin
        definition = await runtime.cells.definition_of(target)
        action = _find(definition, command.action)
        conn = self._connections.ephemeral(origin)
        args, kwargs = action.bind(command.args)

        async def run(turn: ActorTurn) -> ActionResult:
            return await self._run_action(turn, action, args, kwargs)

        body = self._connections.briefly(definition, conn, run)
        return await self._run(target, definition, action, command.args, body, origin, conn)

    async def call_on_connection(self, command: ConnectionAction) -> ActionResult:
        """Run an action for a connection that is open."""
        runtime = self._runtime
        target = ById(None, command.actor_id)
        definition = await runtime.cells.definition_of(target)
        action = _find(definition, command.action)
        conn = await self._connections.find(command.actor_id, command.conn_id)
        args, kwargs = action.bind(command.args)

        async def body(turn: ActorTurn) -> ActionResult:
            await self._connections.prepare(turn, conn)
            return await self._run_action(turn, action, args, kwargs)

        turn_id = digest("frame", conn.id, str(command.frame_id))
        return await self._run(
            target,
            definition,
            action,
            command.args,
            body,
            command.origin,
            conn,
            turn_id,
            echoes=command.unordered,
        )

    def own_job(
        self,
        head: Head,
        name: str,
        plain: Sequence[object],
        fire: FireInfo,
        claim: Callable[[ActorTurn], Awaitable[bool]],
        finish: Callable[[ActorTurn], Awaitable[None]] | None = None,
        *,
        turn_id: str,
        wake: Wake,
    ) -> Job:
        """Return the job of an action that the actor runs by itself.

        Args:
            head: the actor's.
            name: the action's name.
            plain: its arguments.
            fire: why it runs; given to actions that take it.
            claim: asked first, in the turn; where it says no, nothing is run.
            finish: called in the turn when the action has ended well.
            turn_id: from what causes it.
            wake: what it was found by.

        Raises:
            ActorError: ``actor.action_not_found`` or ``actor.validation_error``: the class has
                changed since.
        """
        runtime = self._runtime
        definition = runtime.definitions[head.address.name]
        action = _find(definition, name)
        args, kwargs = action.bind(_with_fire(action, plain, fire))

        async def body(turn: ActorTurn) -> None:
            if await claim(turn):
                await self._run_action(turn, action, args, kwargs)
                if finish is not None:
                    await finish(turn)

        timeout = action.timeout or definition.options.action_timeout
        if wake.deadline is not None:
            # What a host would cut off without a word fails instead, and is tried again.
            timeout = min(timeout, max(wake.deadline - runtime.clock.now() - MARGIN, 0.0))
        return Job(
            definition,
            body,
            label=action.name,
            deadline=runtime.deadline(definition, wake.deadline, timeout),
            timeout=timeout,
            exclusive=action.exclusive,
            turn_id=turn_id,
            hops=wake.hops,
        )

    async def _run(
        self,
        target: Target,
        definition: ActorDefinition,
        action: ActionDefinition,
        args: list[object],
        body: Body,
        origin: Origin,
        conn: ConnInfo,
        turn_id: str | None = None,
        *,
        echoes: bool = False,
    ) -> ActionResult:
        timeout = action.timeout or definition.options.action_timeout
        check = ""
        if origin.call_key is not None:
            origin = scoped(origin)
            check = replies.check(
                definition.name, action.name, json.dumps(tag(args, JSON)).encode()
            )
        job = Job(
            definition,
            body,
            label=action.name,
            deadline=self._runtime.deadline(definition, origin.deadline, timeout),
            origin=origin,
            conn=conn,
            request=origin.request if origin.request is not None else conn.request,
            timeout=timeout,
            exclusive=action.exclusive,
            turn_id=turn_id,
            check=check,
            echoes=echoes,
        )
        result: ActionResult = await self._runtime.execution.run(target, job)
        return result

    async def _run_action(
        self, turn: ActorTurn, action: ActionDefinition, args: list[Any], kwargs: dict[str, Any]
    ) -> ActionResult:
        definition = turn.definition
        output = await action.call(turn.actor, args, kwargs)
        if "on_before_action_response" in definition.hooks:
            output = await self._runtime.lifecycle.hook(
                "on_before_action_response",
                definition.options.action_timeout,
                turn.actor.on_before_action_response(action.name, args, output),
            )
        plain = action.plain_result(output)
        require_sendable(plain)
        if turn.job.origin.call_key is not None:
            turn.reply = replies.encode(plain)
        return ActionResult(plain, turn.actor_id, turn.address.key)

    async def raw_request(self, command: RawRequest) -> RawResponse:
        """Answer an HTTP request with the actor's ``on_request``."""
        runtime = self._runtime
        origin = command.origin
        definition = await runtime.cells.definition_of(command.target)
        conn = self._connections.ephemeral(origin)
        body: Body = _not_served
        if "on_request" in definition.hooks:
            body = self._connections.briefly(definition, conn, _respond)
        timeout = definition.options.action_timeout
        job = Job(
            definition,
            body,
            label="on_request",
            deadline=runtime.deadline(definition, origin.deadline, timeout),
            origin=origin,
            conn=conn,
            request=origin.request,
            timeout=timeout,
        )
        result: RawResponse = await runtime.execution.run(command.target, job)
        return result


def scoped(origin: Origin) -> Origin:
    """Tie a client's idempotency key to the client, so that nobody gets another's answer.

    A client is who its connection parameters say it is. The keys of actors name their turn.
    """
    key = origin.call_key
    if key is None or not key.startswith("i:"):
        return origin
    who = json.dumps(tag(origin.params, JSON), sort_keys=True)
    return replace(origin, call_key=f"i:{digest(who, key)}")


def _with_fire(action: ActionDefinition, plain: Sequence[object], fire: FireInfo) -> list[object]:
    """Add why an action runs by itself to its arguments, if it takes that."""
    taken = action.parameters
    for index, parameter in enumerate(taken):
        hint = parameter.schema.annotation
        if (hint is FireInfo or FireInfo in get_args(hint)) and len(plain) <= index:
            # None stands for the defaults of what is in between.
            between = [None] * (index - len(plain))
            return [*plain, *between, parameter.schema.encode(fire)]
    return list(plain)


def _find(definition: ActorDefinition, name: str) -> ActionDefinition:
    action = definition.find_action(name)
    if action is None:
        raise errors.action_not_found(name)
    return action


async def _info(turn: ActorTurn) -> ActorInfo:
    created_at = turn.cell.created_at
    return ActorInfo(turn.actor_id, turn.address, created_at, created=turn.job.created)


async def _not_served(turn: ActorTurn) -> RawResponse:
    return RawResponse(404, (), b"", turn.actor_id, turn.address.key)


async def _respond(turn: ActorTurn) -> RawResponse:
    """Run ``on_request`` and read the whole response, streamed ones included."""
    request = turn.request
    if request is None:
        raise errors.invalid_request("There is no request to answer.")
    response = await turn.actor.on_request(make_request(request))
    return await read_response(turn, response)
