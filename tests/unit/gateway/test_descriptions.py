"""The OpenAPI and AsyncAPI documents, against the official meta-schemas."""

import json
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema_rs
import pytest
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from rivetless import ActionGroup, Actor, Event, action, setup
from rivetless.gateway.asyncapi import asyncapi
from rivetless.gateway.components import Components, summary_of
from rivetless.gateway.openapi import openapi
from rivetless.registry import Registry

DRAFT = "https://json-schema.org/draft/2020-12/schema"
SCHEMAS = Path(__file__).parent / "schemas"


class Colour(Enum):
    RED = "red"


class Node(BaseModel):
    """Refers to itself."""

    name: str
    children: list["Node"] = Field(default_factory=list["Node"])


class Cat(BaseModel):
    kind: Literal["cat"]
    node: Node | None = None


class Dog(BaseModel):
    kind: Literal["dog"]


class Members(ActionGroup["Everything"]):
    @action
    async def add(self, name: str) -> Node:
        """Add one."""
        raise NotImplementedError


class Everything(Actor[dict[str, int]], icon="star", display_name="All of it"):
    """Has one of each.

    And a second paragraph.
    """

    nothing = Event[None]()
    one = Event[Node]()
    many = Event[tuple[int, str]]()
    members = Members()

    @action
    async def plain(self) -> None:
        """Do nothing."""

    @action
    async def rich(
        self,
        pet: Annotated[Cat | Dog, Field(discriminator="kind")],
        *,
        colour: Colour = Colour.RED,
    ) -> list[Node]:
        raise NotImplementedError

    @action
    async def some(self, *values: bytes) -> dict[str, Cat]:
        raise NotImplementedError

    async def on_request(self, request: Request) -> Response:
        return Response()


class Nameless(Actor):
    @action(name="odd-name")
    async def odd(self, value: object) -> object:
        return value


def schema(name: str) -> Any:
    return json.loads((SCHEMAS / name).read_text())


@pytest.fixture(scope="module")
def registry() -> Registry:
    return setup(use=[Everything, Nameless])


def check(document: Any, name: str) -> None:
    validator = jsonschema_rs.validator_for(schema(name))
    errors = [
        f"{error.instance_path}: {error.message}" for error in validator.iter_errors(document)
    ]
    assert errors == []


def test_the_check_finds_mistakes(registry: Registry) -> None:
    document = openapi(registry)
    del document["info"]["title"]
    with pytest.raises(AssertionError):
        check(document, "openapi-3.1.json")
    document = asyncapi(registry)
    document["channels"]["everything"]["messages"] = []
    with pytest.raises(AssertionError):
        check(document, "asyncapi-3.0.0.json")


def test_schemas_are_schemas(registry: Registry) -> None:
    for document in (openapi(registry), asyncapi(registry)):
        for schema in document["components"]["schemas"].values():
            jsonschema_rs.meta.validate({**schema, "$schema": DRAFT})


def references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [ref for item in value for ref in references(item)]
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [ref for item in value.values() for ref in references(item)]
    return []


def follow(document: Any, reference: str) -> Any:
    assert reference.startswith("#/"), reference
    for step in reference[2:].split("/"):
        document = document[step]
    return document


@pytest.mark.parametrize("server", ["", "/", "/mnt/api/rivet"])
def test_openapi_is_valid(registry: Registry, server: str) -> None:
    document = json.loads(json.dumps(openapi(registry, server)))

    check(document, "openapi-3.1.json")
    for reference in references(document):
        follow(document, reference)


def test_asyncapi_is_valid(registry: Registry) -> None:
    document = json.loads(json.dumps(asyncapi(registry)))

    check(document, "asyncapi-3.0.0.json")
    for reference in references(document):
        follow(document, reference)


def test_empty_registries_have_documents() -> None:
    check(openapi(setup(use=[])), "openapi-3.1.json")
    check(asyncapi(setup(use=[])), "asyncapi-3.0.0.json")


def test_openapi_says_what_the_actors_say(registry: Registry) -> None:
    document = openapi(registry)
    path = document["paths"]["/gateway/everything/action/members.add"]["post"]

    assert path["summary"] == "Add one"
    assert path["operationId"] == "everything.members.add"
    arguments = path["requestBody"]["content"]["application/json"]["schema"]["properties"]["args"]
    assert arguments["prefixItems"] == [{"title": "name", "type": "string"}]
    assert path["requestBody"]["required"] is True
    output = path["responses"]["200"]["content"]["application/json"]["schema"]
    assert output["properties"]["output"] == {"$ref": "#/components/schemas/Node"}
    assert document["tags"][0] == {
        "name": "everything",
        "description": "Has one of each.\n\nAnd a second paragraph.",
    }
    assert set(document["paths"]["/gateway/everything/request"]) == {
        "parameters",
        "get",
        "put",
        "post",
        "delete",
        "patch",
    }
    assert "/gateway/nameless/request" not in document["paths"]
    ids = [
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
        if isinstance(operation, dict)
    ]
    assert len(ids) == len(set(ids))


def test_asyncapi_says_how_events_travel(registry: Registry) -> None:
    messages = asyncapi(registry)["channels"]["everything"]["messages"]

    def args(name: str) -> Any:
        payload = messages[f"{name}.event"]["payload"]["schema"]
        value = payload["properties"]["body"]["properties"]["val"]
        assert value["properties"]["name"] == {"const": name}
        return value["properties"]["args"]

    assert args("nothing") == {"type": "array", "maxItems": 0}
    assert args("one")["prefixItems"] == [{"$ref": "#/components/schemas/Node"}]
    assert args("many")["prefixItems"] == [{"type": "integer"}, {"type": "string"}]


def test_models_of_one_name_are_told_apart() -> None:
    components = Components("#/c/")
    first = {"$ref": "#/$defs/M", "$defs": {"M": {"type": "string"}}}
    other = {"$ref": "#/$defs/M", "$defs": {"M": {"$ref": "#/$defs/N"}, "N": {"type": "null"}}}

    assert components.add(first) == {"$ref": "#/c/M"}
    assert components.add(other) == {"$ref": "#/c/M2"}
    assert components.add(first) == {"$ref": "#/c/M"}
    assert components.add({"type": "integer"}) == {"type": "integer"}
    assert components.schemas == {
        "M": {"type": "string"},
        "M2": {"$ref": "#/c/N"},
        "N": {"type": "null"},
    }


def test_models_that_differ_further_down_are_told_apart() -> None:
    components = Components("#/c/")
    for leaf in ("string", "null"):
        components.add(
            {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"type": leaf}}}
        )

    assert components.schemas["A"] == {"$ref": "#/c/B"}
    assert components.schemas["A2"] == {"$ref": "#/c/B2"}


@pytest.mark.parametrize(
    ("doc", "summary", "text"),
    [
        ("", "", ""),
        ("One.", "One", "One."),
        ("One\n    two.\n\n    Three.", "One two", "One\ntwo.\n\nThree."),
    ],
)
def test_summaries(doc: str, summary: str, text: str) -> None:
    assert summary_of(doc) == (summary, text)
