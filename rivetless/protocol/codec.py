"""The three encodings, behind one interface: JSON, CBOR and BARE."""

from __future__ import annotations

from typing import Final, Literal, Protocol, TypeVar

from rivetless.errors import make
from rivetless.protocol.bare_codec import BareCodec
from rivetless.protocol.cbor_codec import CborCodec
from rivetless.protocol.json_codec import JsonCodec
from rivetless.protocol.messages import (
    CURRENT_VERSION,
    Decoded,
    HttpActionResponse,
    HttpBody,
    Message,
    ToClient,
    ToServer,
)

__all__ = [
    "BARE",
    "CBOR",
    "JSON",
    "Codec",
    "EncodingName",
    "codec_for",
    "requested_codec",
    "require_sendable",
]

EncodingName = Literal["json", "cbor", "bare"]

B = TypeVar("B", bound=HttpBody)


class Codec(Protocol):
    """Turns messages into bytes and back.

    Whatever it is given to decode, the only exception it raises is ``actor.invalid_request``.
    Encoding raises ``TypeError`` for a value that has no form on the wire.
    """

    @property
    def name(self) -> EncodingName:
        """As in ``x-rivet-encoding``."""
        ...

    @property
    def content_type(self) -> str:
        """Of HTTP bodies."""
        ...

    @property
    def text(self) -> bool:
        """Frames on a socket are text frames."""
        ...

    def encode(self, message: Message, version: int = CURRENT_VERSION) -> bytes:
        """Return a message as bytes.

        Args:
            message: a frame or a body.
            version: of the request that is answered. Only BARE carries it; in JSON and CBOR it
                decides which tags the client is spared.
        """
        ...

    def frame(self, message: ToClient | ToServer, version: int = CURRENT_VERSION) -> str | bytes:
        """Return a frame as a socket sends it: text if ``text``, else bytes."""
        ...

    def decode(self, kind: type[B], data: bytes) -> Decoded[B]:
        """Return the HTTP body of a kind."""
        ...

    def decode_to_server(self, data: bytes | str) -> Decoded[ToServer]:
        """Return a frame that a client sent."""
        ...

    def decode_to_client(self, data: bytes | str) -> Decoded[ToClient]:
        """Return a frame that a server sent."""
        ...


JSON: Final[Codec] = JsonCodec()
"""Text frames; what everybody can read."""

CBOR: Final[Codec] = CborCodec()
"""Binary, with the same shapes as JSON. Needs the extra ``cbor``."""

BARE: Final[Codec] = BareCodec()
"""Binary and compact; the official client's default. Needs the extra ``cbor``."""

_ALWAYS: Final = frozenset({int, float, bool, bytes, type(None)})
"""Types whose every value can be sent."""

_CODECS: Final[dict[str, Codec]] = {codec.name: codec for codec in (JSON, CBOR, BARE)}


def codec_for(name: str) -> Codec:
    """Return the codec of a name.

    Raises:
        ActorError: ``encoding.invalid``.
    """
    codec = _CODECS.get(name)
    if codec is None:
        raise make("encoding.invalid", {"encoding": name[:32]})
    return codec


def requested_codec(header: str | None) -> Codec:
    """Return the codec that ``x-rivet-encoding`` names; JSON if it is missing or unknown."""
    return _CODECS.get(header or "", JSON)


def require_sendable(value: object) -> None:
    """Make sure that a value has a form on the wire, while its sender can still be told.

    Raises:
        TypeError: it has none.
    """
    if type(value) not in _ALWAYS and not (type(value) is str and value.isascii()):
        JSON.encode(HttpActionResponse(value))
