"""One ``Schema`` for every type an actor declares: storage, wire values, JSON Schema.

A schema wraps a pydantic ``TypeAdapter`` that is built once. May import ``errors`` only.
"""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")


class UnstorableError(ValueError):
    """A value does not survive being stored, so nothing was written."""


class Schema(Generic[T]):
    """How the values of one type are stored, checked and sent.

    *Plain* values are what the wire knows: None, bool, int, float, str, bytes, lists, dicts with text
    keys, sets and datetimes.

    Attributes:
        annotation: the type.
    """

    __slots__ = ("annotation",)

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation

    def load(self, data: bytes) -> T:
        """Read a stored value.

        Raises:
            UnstorableError: ``data`` does not fit the type (any more).
        """
        raise NotImplementedError

    def dump(self, value: T) -> bytes:
        """Write a value for storage. ``load`` gives it back unchanged.

        Raises:
            UnstorableError: it does not fit the type, or would not come back as it is.
        """
        raise NotImplementedError

    def same(self, stored: bytes, dumped: bytes) -> bool:
        """Whether two stored forms are one value (sets have no order)."""
        raise NotImplementedError

    def validate(self, plain: object) -> T:
        """Make a value of what came over the wire, leniently (``"2024-01-01"`` is a date).

        Raises:
            ActorError: ``actor.validation_error`` with ``metadata.issues``.
        """
        raise NotImplementedError

    def plain(self, value: T) -> object:
        """Make a plain value of one that fits the type."""
        raise NotImplementedError

    def json_schema(
        self, mode: Literal["validation", "serialization"] = "validation"
    ) -> dict[str, Any]:
        """Describe the type for OpenAPI."""
        raise NotImplementedError
