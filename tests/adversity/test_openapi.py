"""The OpenAPI document is true: what it allows is taken, and what comes back fits it."""

import re
import warnings
from typing import Any, cast

import httpx
import jsonschema_rs
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.servers import ServerProcess

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis

pytestmark = pytest.mark.timeout(120)

# Those with arguments and results of all kinds.
ACTORS = ["calls", "counter", "notes", "profile", "room", "seeded", "shop", "watched", "web"]
# Mistakes of the actor's author, which are to be a 500; and what takes as long as it is told.
ON_PURPOSE = {
    *("calls.repeat", "watched.burst"),
    *("calls.unserialisable", "counter.incrementAndCrash", "notes.finish", "room.kick"),
    *("room.promote", "room.sayLong", "room.sayWrong"),
}
EXAMPLES = 5
ADDRESS = {"rvt-namespace": "fuzz", "rvt-method": "getOrCreate", "rvt-runner": "default"}


@pytest.fixture(scope="module")
def document(adversity_http: httpx.Client) -> Any:
    """The document."""
    return adversity_http.get("/openapi.json").json()


def plain(value: Any) -> Any:
    """Put large integers in place of their tags, of which the document speaks in words only."""
    if isinstance(value, list):
        if len(value) == 2 and value[0] == "$BigInt":
            return int(value[1])
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def validator(document: Any, path: str) -> Any:
    """Return what checks the answers of an action."""
    pointer = path.replace("~", "~0").replace("/", "~1")
    where = f"#/paths/{pointer}/post/responses/200/content/application~1json/schema"
    return jsonschema_rs.Draft202012Validator({**document, "$ref": where})


@pytest.mark.parametrize("actor", ACTORS)
def test_actions(actor: str, document: Any, adversity_server: ServerProcess) -> None:
    schema = schemathesis.openapi.from_dict(document)
    chosen = schema.include(path_regex=f"^/gateway/{re.escape(actor)}/action/")
    found: list[Any] = [result.ok() for result in cast("Any", chosen.get_all_operations())]
    operations = [
        operation
        for operation in found
        if operation.definition.raw["operationId"] not in ON_PURPOSE
    ]
    checks = {operation.path: validator(document, operation.path) for operation in operations}
    assert operations
    taken: set[str] = set()

    @settings(
        max_examples=EXAMPLES * len(operations),
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(st.data())
    def run(data: st.DataObject) -> None:
        operation = data.draw(st.sampled_from(operations))
        case = data.draw(operation.as_strategy())
        if data.draw(st.booleans()):
            # What the document cannot say: which parameters go together, and that one is JSON.
            case.query = {**ADDRESS, "rvt-key": data.draw(st.sampled_from(["a", "b"]))}
            case.headers = {}
        response = case.call(base_url=adversity_server.endpoint, session=session)
        answer = response.json()
        if response.status_code == 200:
            taken.add(operation.path)
            checks[operation.path].validate(plain(answer))
        else:
            assert answer["group"], answer
            assert answer["code"], answer
            # A UserError is the application's word, whatever its status.
            assert response.status_code < 500 or answer["group"] == "user", answer

    with requests.Session() as session:
        run()
    assert taken
