"""What a call to AWS costs us, through the lean client and through boto3.

``python -m benchmarks.aws_clients`` needs nothing but the extra ``aws``. A server in a process of
its own answers every request alike, over plain HTTP on kept connections; what is counted is the CPU
time of the client's process, to which a busy machine does not add.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

from rivetless.aws.boto import BotoClient
from rivetless.aws.client import Client, Payload
from rivetless.aws.credentials import Provider
from rivetless.aws.lean import LeanClient
from rivetless.aws.management import Management
from rivetless.aws.services import DYNAMODB, MANAGEMENT, SCHEDULER, SQS, Service
from rivetless.aws.signing import Credentials
from rivetless.clock import SystemClock

CALLS: Final = 2000
AT_ONCE: Final = 8
POSTS: Final = 1000
POST_SECONDS: Final = 0.010

_TEXT: Final = "x" * 1000
_NAME: Final = "an-actor"

# Whom to call, what for, and with what.
MEASURED: Final[dict[str, tuple[Service, str, Payload]]] = {
    "GetItem": (DYNAMODB, "GetItem", {"TableName": "t", "Key": {"p": {"S": _NAME}}}),
    "SendMessage": (SQS, "SendMessage", {"QueueUrl": "http://q/1/q", "MessageBody": _TEXT}),
    "GetSchedule": (SCHEDULER, "GetSchedule", {"Name": _NAME, "GroupName": "g"}),
    "PostToConnection": (
        MANAGEMENT,
        "PostToConnection",
        {"ConnectionId": "L0SM9cOFvHcCIhw=", "Data": _TEXT.encode()},
    ),
}

# Every service gives the same; boto3 leaves out what it does not know.
_BODY: Final = b'{"Item":{"p":{"S":"an-actor"},"s":{"B":"%s"}}}' % (b"AAAA" * 300)


async def main() -> None:
    """Measure and print."""
    os.environ.update(AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b")
    print(f"CPU ms a call, {CALLS} calls, {AT_ONCE} at once\n")
    print(f"{'':<18}{'lean':>8}{'boto3':>8}{'ratio':>8}")
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(_server(0.0))
        for name, (service, operation, payload) in MEASURED.items():
            lean = await _cost(_lean(service, url), operation, payload)
            boto = await _cost(_boto(service, url), operation, payload)
            print(f"{name:<18}{lean:>8.3f}{boto:>8.3f}{boto / lean:>8.1f}")
        slow = await stack.enter_async_context(_server(POST_SECONDS))
        print(f"\n{POSTS} posts, answered after {POST_SECONDS * 1000:.0f} ms, 64 at once\n")
        for kind, client in (("lean", _lean(MANAGEMENT, slow)), ("boto3", _boto(MANAGEMENT, slow))):
            async with Management(client=client) as management:
                await _all(lambda: management.post("L0SM9cOFvHcCIhw=", b"x"), 64, 64)
                began = time.perf_counter()
                await _all(lambda: management.post("L0SM9cOFvHcCIhw=", b"x"), POSTS, POSTS)
                print(f"{kind:<18}{time.perf_counter() - began:>8.3f} s")


async def _cost(client: Client, operation: str, payload: Payload) -> float:
    """Return the CPU time of a call, in milliseconds."""
    async with client:
        await _all(lambda: client.call(operation, payload), 200, AT_ONCE)
        began = time.process_time()
        await _all(lambda: client.call(operation, payload), CALLS, AT_ONCE)
        return (time.process_time() - began) * 1000 / CALLS


async def _all(call: Callable[[], Awaitable[object]], count: int, at_once: int) -> None:
    left = iter(range(count))

    async def some() -> None:
        for _ in left:
            await call()

    await asyncio.gather(*(some() for _ in range(at_once)))


def _lean(service: Service, url: str) -> Client:
    clock = SystemClock()
    provider = Provider(clock=clock, environ={}, fixed=Credentials("a", "b", "c" * 300))
    return LeanClient(service, url, "us-east-1", provider, clock=clock, connections=64)


def _boto(service: Service, url: str) -> Client:
    return BotoClient(service, endpoint=url, region="us-east-1", connections=64)


@asynccontextmanager
async def _server(seconds: float) -> AsyncIterator[str]:
    """Run a server that answers after some time; give its URL."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.aws_clients", str(seconds)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.wait()


async def _serve(seconds: float) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(EOFError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                _, _, rest = head.partition(b"content-length: ")
                await reader.readexactly(int(rest.partition(b"\r\n")[0] or 0))
                await asyncio.sleep(seconds)
                writer.write(answer)
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])) if len(sys.argv) > 1 else main())
