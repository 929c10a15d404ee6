"""A server that does nothing, to measure what the official client makes of the best there could be.

It answers each request with a constant as soon as its last byte is there: sends to queues with
"completed", everything else with how many requests it has answered. No server can be faster, so
what the load generator measures against it is the ceiling of every figure.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from typing import Final

from rivetless.protocol.codec import BARE, CBOR, JSON, Codec
from rivetless.protocol.messages import HttpActionResponse, HttpQueueSendResponse

_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n"
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CODECS: Final[dict[bytes, Codec]] = {b"bare": BARE, b"cbor": CBOR, b"json": JSON}
_ENCODING: Final = re.compile(rb"\r\nx-rivet-encoding: *(bare|cbor|json)", re.IGNORECASE)


class Constant(asyncio.Protocol):
    """One connection. It takes requests whole, one after the other, as the client sends them."""

    answered = 0

    def __init__(self) -> None:
        self._request = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        if isinstance(transport, asyncio.WriteTransport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer once all of a request is there."""
        self._request += data
        head, end, body = self._request.partition(b"\r\n\r\n")
        if not end or not _is_whole(head, body):
            return
        self._request = b""
        Constant.answered += 1
        named = _ENCODING.search(head)
        codec = JSON if named is None else _CODECS[named.group(1).lower()]
        if b"/queue/" in head[: head.find(b"\r\n")]:
            answer = codec.encode(HttpQueueSendResponse("completed", None))
        else:
            answer = codec.encode(HttpActionResponse(Constant.answered))
        if self._transport is not None:
            self._transport.write(_HEAD % (codec.content_type.encode(), len(answer)) + answer)


def _is_whole(head: bytes, body: bytes) -> bool:
    length = _LENGTH.search(head)
    if length is not None:
        return len(body) >= int(length.group(1))
    chunked = b"\r\ntransfer-encoding: chunked" in head.lower()
    return not chunked or body.endswith(_LAST_CHUNK)


async def serve(port: int) -> None:
    """Answer until the process is stopped."""
    server = await asyncio.get_running_loop().create_server(Constant, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ceiling", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="where to listen, on loopback")
    asyncio.run(serve(parser.parse_args().port))
