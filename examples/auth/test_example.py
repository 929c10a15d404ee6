"""Tokens, roles and guarded events."""

from collections.abc import Callable

import pytest

from examples.auth import client
from examples.auth.app import Credentials, Document
from examples.auth.tokens import Role, issue
from rivetless import ActorError
from rivetless.testing.rig import Rig

KEY = ["acme", "plan"]


def credentials(role: Role = "editor", org: str = "acme") -> Credentials:
    return Credentials(token=issue("Ann", org, role))


async def refused(rig: Rig, params: Credentials) -> ActorError:
    document = rig.client.get_or_create(Document, KEY, params=params)
    with pytest.raises(ActorError) as refusal:
        await document.read()
    return refusal.value


async def test_an_editor_writes(rig: Rig) -> None:
    document = rig.client.get_or_create(Document, KEY, params=credentials())
    await document.write("Make it so.")
    assert await document.read() == "Make it so."


async def test_a_viewer_reads_only(rig: Rig) -> None:
    document = rig.client.get_or_create(Document, KEY, params=credentials("viewer"))
    assert await document.read() == ""
    with pytest.raises(ActorError) as refusal:
        await document.write("Mine!")
    assert refusal.value.code == "missing_role"
    assert refusal.value.metadata == {"needed": "editor", "yours": "viewer"}
    assert await document.read() == ""


async def test_who_is_refused(rig: Rig) -> None:
    token = issue("Ann", "acme", "viewer")
    forged = Credentials(token=token[:-1] + ("0" if token[-1] != "0" else "1"))
    expired = Credentials(token=issue("Ann", "acme", "editor", valid_for=-1))
    codes = [
        (await refused(rig, params)).name
        for params in (forged, Credentials(token=""), expired, credentials(org="globex"))
    ]
    assert codes == ["user.bad_token", "user.bad_token", "user.token_expired", "user.wrong_org"]


async def test_a_connection_is_refused(rig: Rig) -> None:
    document = rig.client.get_or_create(Document, KEY)
    with pytest.raises(ActorError) as refusal:
        async with rig.client.connect(document, Credentials(token="nonsense")):
            pass
    assert refusal.value.name == "user.bad_token"


async def test_a_guarded_event(rig: Rig) -> None:
    document = rig.client.get_or_create(Document, KEY)
    async with rig.client.connect(document, credentials()) as editor:
        names = editor.events(Document.edited_by)
        await editor.actor.write("Make it so.")
        assert await anext(names) == "Ann"
    errors: list[ActorError] = []
    async with rig.client.connect(document, credentials("viewer")) as viewer:
        viewer.on_error(errors.append)
        viewer.on(Document.edited_by, lambda name: None)
        await rig.settle()
        assert [error.name for error in errors][:1] == ["auth.forbidden"]


async def test_over_the_network(
    serve: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    await client.main(serve("examples.auth.app:registry"))
    assert capsys.readouterr().out.splitlines() == [
        "edited by Ann",
        "Make it so.",
        "user missing_role {'needed': 'editor', 'yours': 'viewer'}",
    ]
