"""Update and condition expressions, grown part by part, with their placeholders."""

from __future__ import annotations

from typing import Any

from rivetless.store.dynamodb.items import Value


class Expression:
    """What a write does to one item, and on which conditions.

    Args:
        key: the item's key.
    """

    def __init__(self, key: dict[str, Value]) -> None:
        self._key = key
        self._names: dict[str, str] = {}
        self._values: dict[str, Value] = {}
        self._sets: list[str] = []
        self._removes: list[str] = []
        self._conditions: list[str] = []

    @property
    def changes(self) -> bool:
        """Whether it writes anything."""
        return bool(self._sets or self._removes)

    def name(self, name: str) -> str:
        """Return a placeholder for a name that a user may have chosen."""
        placeholder = f"#{len(self._names)}"
        self._names[placeholder] = name
        return placeholder

    def value(self, value: Value) -> str:
        """Return a placeholder for a value."""
        placeholder = f":{len(self._values)}"
        self._values[placeholder] = value
        return placeholder

    def set(self, path: str, value: Value) -> None:
        """Set an attribute, or a part of one."""
        self._sets.append(f"{path} = {self.value(value)}")

    def add(self, path: str, amount: Value) -> None:
        """Add to a number that may not be there yet. (``ADD`` knows no parts of attributes.)"""
        zero, more = self.value({"N": "0"}), self.value(amount)
        self._sets.append(f"{path} = if_not_exists({path}, {zero}) + {more}")

    def set_once(self, path: str, value: Value) -> None:
        """Set an attribute that is not there."""
        self._sets.append(f"{path} = if_not_exists({path}, {self.value(value)})")

    def show(self, path: str) -> None:
        """Have an attribute returned among the updated ones, although it stays as it is."""
        self._sets.append(f"{path} = {path}")

    def remove(self, *paths: str) -> None:
        """Remove attributes."""
        self._removes += paths

    def require(self, condition: str) -> None:
        """Write only if this holds too."""
        self._conditions.append(condition)

    def update(self, table: str) -> dict[str, Any]:
        """Return what ``UpdateItem`` takes."""
        parts: list[str] = []
        if self._sets:
            parts.append("SET " + ", ".join(self._sets))
        if self._removes:
            parts.append("REMOVE " + ", ".join(self._removes))
        return self.check(table) | {"UpdateExpression": " ".join(parts)}

    def check(self, table: str) -> dict[str, Any]:
        """Return what a transaction's ``ConditionCheck`` takes."""
        request: dict[str, Any] = {
            "TableName": table,
            "Key": self._key,
            "ConditionExpression": " AND ".join(self._conditions),
            "ExpressionAttributeValues": self._values,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if self._names:
            request["ExpressionAttributeNames"] = self._names
        return request
