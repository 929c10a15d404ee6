"""An event source of an application: files that arrive in buckets of S3. The docs show it."""

# --8<-- [start:uploads]
from collections.abc import Mapping, Sequence
from typing import Any, Self

from rivetless import Actor, action
from rivetless.hosts.aws_lambda import Invocation


class Bucket(Actor[int]):
    """Counts the files that arrived."""

    initial_state = 0

    @action
    async def arrived(self, files: int) -> int:
        self.state += files
        return self.state


class Uploads:
    """What S3 sends when files have arrived."""

    kind = "uploads"

    def __init__(self, records: Sequence[Any]) -> None:
        self.records = records

    @classmethod
    def match(cls, event: Mapping[str, Any]) -> Self | None:
        match event:
            case {"Records": [{"eventSource": "aws:s3"}, *_] as records}:
                return cls(records)
            case _:
                return None

    async def handle(self, invocation: Invocation) -> object:
        name = self.records[0]["s3"]["bucket"]["name"]
        return await invocation.deliver(
            {
                "rivetless": "call",
                "name": "bucket",
                "key": [name],
                "create": True,
                "action": "arrived",
                "args": [len(self.records)],
            }
        )


# --8<-- [end:uploads]
