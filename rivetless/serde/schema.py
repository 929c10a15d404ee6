"""``Schema``: how the values of one type are stored, checked, sent and described."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Generic, Literal, TypeVar, get_origin

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation
from pydantic_core import PydanticSerializationError, SchemaSerializer, SchemaValidator

from rivetless.errors import validation_error
from rivetless.serde import fidelity

T = TypeVar("T")

Mode = Literal["validation", "serialization"]


class UnstorableError(ValueError):
    """A value would not survive being stored, so nothing was written."""


class UnreadableError(ValueError):
    """A stored value does not fit its type (any more)."""


class ForwardReferenceError(TypeError):
    """A type names something that does not exist yet."""


_LEAVES: Final[frozenset[Any]] = frozenset({int, str, bool, float, bytes, type(None)})
"""Types whose values are plain already."""


def type_name(annotation: Any) -> str:
    """Return a type as it would be written: ``int``, ``list[int]``, ``RoomState``."""
    if annotation is None or annotation is type(None):
        return "None"
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation.__qualname__.rpartition("<locals>.")[2]
    return str(annotation).replace("typing.", "")


class Schema(Generic[T]):
    """How the values of one type are stored, checked, sent and described.

    *Plain* values are what the wire knows: None, bool, int, float, str, bytes, lists, dicts with
    text keys, and a few leaves that the codecs turn into those (datetimes, sets, UUIDs, …).

    A schema is built at the first use, or by ``build``.

    Attributes:
        annotation: the type.
    """

    __slots__ = (
        "_adapter",
        "_fidelity",
        "_leaf",
        "_read",
        "_to_python",
        "_validate",
        "_write",
        "annotation",
    )

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation
        self._adapter: TypeAdapter[Any] | None = None
        self._fidelity = fidelity.Fidelity()
        self._leaf = annotation if isinstance(annotation, type) and annotation in _LEAVES else None
        self._read: Callable[..., T] = self._first("_read")
        self._write: Callable[..., bytes] = self._first("_write")
        self._validate: Callable[..., T] = self._first("_validate")
        self._to_python: Callable[..., Any] = self._first("_to_python")

    def __repr__(self) -> str:
        return f"Schema({type_name(self.annotation)})"

    def _first(self, name: str) -> Callable[..., Any]:
        """Stand in for a function of pydantic's until the schema is built."""

        def build_and_call(*args: Any, **kwargs: Any) -> Any:
            self.build()
            return getattr(self, name)(*args, **kwargs)

        return build_and_call

    @property
    def built(self) -> bool:
        """Whether everything the type names is known."""
        return self._adapter is not None

    def build(self) -> TypeAdapter[Any]:
        """Build the schema now.

        Raises:
            ForwardReferenceError: the type names something that does not exist yet.
            TypeError: pydantic cannot handle the type.
        """
        if self._adapter is not None:
            return self._adapter
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(self.annotation)
            if not adapter.pydantic_complete:
                # Where names are missing pydantic may also put off its complaint to the first use.
                adapter.rebuild(raise_errors=True)
            core = adapter.core_schema
            validator: Any = adapter.validator
            serializer: Any = adapter.serializer
        except PydanticUndefinedAnnotation as error:
            raise ForwardReferenceError(
                f"{type_name(self.annotation)} names {error.name!r}, which is not defined"
            ) from error
        except PydanticUserError as error:
            if error.code in ("class-not-fully-defined", "undefined-annotation"):
                raise ForwardReferenceError(
                    f"{type_name(self.annotation)} is not fully defined yet"
                ) from error
            # What pydantic advises (to allow arbitrary types) would not help here.
            raise TypeError(_first_line(error).partition(". Set `arb")[0]) from error
        found = fidelity.examine(core)
        if found.recoded:
            reader, writer, whole = _storage_of(core)
            # Without the whole: models keep their own configuration, so look at what they write.
            found.fragile = found.fragile or not whole
        else:
            reader, writer = validator, serializer
        self._fidelity = found
        self._read = reader.validate_json
        self._write = writer.to_json
        self._validate = validator.validate_python
        self._to_python = serializer.to_python
        self._adapter = adapter
        return adapter

    # -- storage --------------------------------------------------------------------------------

    def load(self, data: bytes) -> T:
        """Read a stored value.

        Raises:
            UnreadableError: ``data`` does not fit the type (any more).
        """
        try:
            return self._read(data, by_alias=False, by_name=True)
        except ValidationError as error:
            raise UnreadableError(
                f"A stored value does not fit {type_name(self.annotation)} (any more): "
                f"{_sentence(error)}. "
                "Give new fields a default, or convert old data in a "
                '`@model_validator(mode="before")`.'
            ) from error

    def dump(self, value: T) -> bytes:
        """Write a value for storage; ``load`` gives it back as it was.

        Fields are written under their own names, not their aliases. Fields with ``exclude=True``,
        private attributes and computed fields are not written, since their models say so.

        Raises:
            UnstorableError: it does not fit the type, or would not come back as it is.
        """
        try:
            data = self._write(value, round_trip=True, by_alias=False, warnings="error")
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            raise self._unstorable(_first_line(error)) from error
        found = self._fidelity
        if found.fragile or found.may_hold_more():
            self._check(value, data)
        return data

    def _check(self, value: T, data: bytes) -> None:
        try:
            back = self._read(data, by_alias=False, by_name=True)
        except ValidationError as error:
            raise self._unstorable(_sentence(error)) from error
        as_any = self._fidelity.may_hold_more()
        written = self._to_python(
            value, round_trip=True, by_alias=False, warnings=False, serialize_as_any=as_any
        )
        read = self._to_python(back, round_trip=True, by_alias=False, warnings=False)
        found = fidelity.difference(written, read)
        if found is not None:
            raise self._unstorable(found)

    def _unstorable(self, why: str) -> UnstorableError:
        return UnstorableError(
            f"A value of type {type_name(self.annotation)} cannot be stored: {why}. "
            "Nothing was written."
        )

    def same(self, first: bytes, second: bytes) -> bool:
        """Whether two stored forms are one value: sets have no order."""
        if first == second:
            return True
        if not self._fidelity.unordered or len(first) != len(second):
            return False
        plain = [self._to_python(self.load(data), warnings=False) for data in (first, second)]
        return fidelity.difference(plain[0], plain[1]) is None

    @property
    def checker(self) -> Callable[[object], T]:
        """``check`` without a step in between, for those who call it often."""
        self.build()
        return self._validate

    # -- the wire -------------------------------------------------------------------------------

    def check(self, value: object) -> T:
        """Make a value of anything that fits the type, leniently (``"2024-01-01"`` is a date).

        Raises:
            ValidationError: pydantic's.
        """
        return self._validate(value)

    def require(self, value: object, what: str) -> None:
        """Report a wrong value where it is assigned, not only where it is stored.

        Raises:
            TypeError: it does not fit.
        """
        if type(value) is self.annotation:
            return
        try:
            self._validate(value)
        except ValidationError as error:
            raise TypeError(
                f"`{what}` is {type_name(self.annotation)}, not {type(value).__name__}: "
                f"{_sentence(error)}"
            ) from error

    def validate(self, plain: object, *path: str | int) -> T:
        """As ``check``, for values that came over the wire.

        Args:
            plain: what came.
            *path: where it stood; begins each issue's ``path``.

        Raises:
            ActorError: ``actor.validation_error`` with ``metadata.issues``.
        """
        try:
            return self._validate(plain)
        except ValidationError as error:
            raise validation_error(issues(error, path)) from error

    def plain(self, value: T) -> object:
        """Make a plain value of one that fits the type.

        Raises:
            TypeError: it does not fit.
        """
        if type(value) is self._leaf:
            return value
        try:
            plain: object = self._to_python(value, by_alias=True, warnings="error")
        except PydanticSerializationError as error:
            raise TypeError(
                f"A value does not fit {type_name(self.annotation)}: {_first_line(error)}"
            ) from error
        return plain

    def encode(self, value: object) -> object:
        """Check a value and make it plain.

        Raises:
            ValidationError: pydantic's.
            TypeError: it fits but cannot be sent.
        """
        if type(value) is self._leaf:
            return value
        return self.plain(self._validate(value))

    # -- description ----------------------------------------------------------------------------

    def json_schema(
        self, mode: Mode = "validation", *, ref_template: str = "#/$defs/{model}"
    ) -> dict[str, Any]:
        """Describe the type as JSON Schema.

        Args:
            mode: what is accepted, or what is sent.
            ref_template: where references to models point.
        """
        return self.build().json_schema(mode=mode, ref_template=ref_template)


def _storage_of(core: Any) -> tuple[SchemaValidator, SchemaSerializer, bool]:
    """Build what reads and writes a core schema with ``STORAGE_CONFIG``.

    Returns:
        Reader, writer, and whether the configuration holds inside of models too.
    """
    # The checkers do not know the third argument, and older pydantics do not either. It says not
    # to reuse models that were built before, with their own configuration.
    reader: Any = SchemaValidator
    writer: Any = SchemaSerializer
    core, config = fidelity.recode(core), fidelity.STORAGE_CONFIG
    try:
        return reader(core, config, False), writer(core, config, False), True
    except TypeError:
        return reader(core, config), writer(core, config), False


_SHARED: Final[dict[Any, Schema[Any]]] = {
    leaf: Schema(leaf) for leaf in (int, str, bool, float, bytes, type(None), Any)
}


def schema_of(annotation: Any) -> Schema[Any]:
    """Return the schema of a type; those of builtins are shared."""
    if annotation is None:
        annotation = type(None)
    if isinstance(annotation, type) or annotation is Any:
        shared = _SHARED.get(annotation)
        if shared is not None:
            return shared
    return Schema(annotation)


def issues(error: ValidationError, path: Sequence[str | int] = ()) -> list[dict[str, object]]:
    """Return what is wrong, one mapping a mistake, as it may be shown to a caller."""
    return [
        {"path": [*path, *issue["loc"]], "message": issue["msg"], "code": issue["type"]}
        for issue in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def json_schemas(
    wanted: Iterable[tuple[str, Mode, Schema[Any]]], *, ref_template: str
) -> tuple[dict[tuple[str, Mode], dict[str, Any]], dict[str, Any]]:
    """Describe many types that share their models.

    Args:
        wanted: a key of your own, what is wanted, and the schema.
        ref_template: where references to models point, e.g. ``"#/components/schemas/{model}"``.

    Returns:
        The descriptions by key and mode, and the definitions they refer to.
    """
    inputs: list[tuple[str, Mode, TypeAdapter[Any]]] = [
        (key, mode, schema.build()) for key, mode, schema in wanted
    ]
    described, rest = TypeAdapter.json_schemas(inputs, ref_template=ref_template)
    definitions: dict[str, Any] = rest.get("$defs", {})
    return described, definitions


def _sentence(error: ValidationError) -> str:
    """Return the first mistakes as one line of text."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    parts: list[str] = []
    for issue in found[:3]:
        where = ".".join(str(step) for step in issue["loc"])
        parts.append(f"{where}: {issue['msg']}" if where else issue["msg"])
    if len(found) > 3:
        parts.append(f"and {len(found) - 3} more")
    return "; ".join(parts)


def _first_line(error: BaseException) -> str:
    """Return what matters of pydantic's many-lined messages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Pydantic serializer warnings"):
        lines = lines[1:]
    text = lines[0] if lines else type(error).__name__
    return text.removeprefix("PydanticSerializationUnexpectedValue").strip("()").rstrip(".")
