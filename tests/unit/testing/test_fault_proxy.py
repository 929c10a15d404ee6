"""The proxy does to requests what it says, by its seed, and nothing else."""

import json

import pytest

from rivetless.aws.client import AnswerLost
from rivetless.aws.http import Answer, Pool
from rivetless.clock import SystemClock
from rivetless.testing.fault_proxy import STORMY, Breakage, FaultProxy, Passing
from tests.unit.aws.servers import Server, answer, server

__all__ = ["server"]

TARGET = "DynamoDB_20120810.GetItem"


async def send(url: str, body: bytes = b"ask", target: str = TARGET) -> Answer:
    """Make one request on a connection of its own."""
    pool = Pool(url, clock=SystemClock())
    head = f"POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: {target}\r\ncontent-length: {len(body)}"
    try:
        return await pool.send(f"{head}\r\n\r\n".encode(), body)
    finally:
        await pool.close()


class First:
    """Lets the first request meet a fault, and no other."""

    def __init__(self, fault: Breakage) -> None:
        self._fault = fault
        self.seen: list[Passing] = []

    def __call__(self, passing: Passing) -> Breakage | None:
        self.seen.append(passing)
        return self._fault if passing.number == 1 else None


@pytest.fixture
def echo(server: Server) -> Server:
    server.reply = lambda body: answer(b"heard " + body)
    return server


@pytest.mark.parametrize(
    ("fault", "arrives"),
    [
        (Breakage.RESET, False),
        (Breakage.LATE, True),
        (Breakage.LOST, True),
        (Breakage.CUT, True),
    ],
)
async def test_an_answer_does_not_come(echo: Server, fault: Breakage, arrives: bool) -> None:
    decide = First(fault)
    async with FaultProxy(echo.url, decide=decide, delays=(0.0, 0.01)) as proxy:
        with pytest.raises(AnswerLost):
            await send(proxy.url)
        await proxy.settle()
        assert [body for _, body in echo.requests] == ([b"ask"] if arrives else [])
        assert (await send(proxy.url, b"again")).body == b"heard again"
    assert (decide.seen[0].operation, decide.seen[0].line) == ("GetItem", "POST / HTTP/1.1")
    assert (proxy.requests, dict(proxy.faults)) == (2, {fault: 1})


@pytest.mark.parametrize(
    ("fault", "status", "arrives"),
    [
        (Breakage.DELAYED, 200, True),
        (Breakage.THROTTLED, 400, False),
        (Breakage.FAILED, 500, False),
        (Breakage.FAILED_LATE, 500, True),
    ],
)
async def test_another_answer_comes(
    echo: Server, fault: Breakage, status: int, arrives: bool
) -> None:
    async with FaultProxy(echo.url, decide=First(fault), delays=(0.0, 0.01)) as proxy:
        assert (await send(proxy.url)).status == status
    assert bool(echo.requests) is arrives


@pytest.mark.parametrize(
    ("target", "code"),
    [
        (TARGET, "ProvisionedThroughputExceededException"),
        ("AmazonSQS.SendMessage", "ThrottlingException"),
    ],
)
async def test_throttles_are_those_of_the_service(echo: Server, target: str, code: str) -> None:
    async with FaultProxy(echo.url, decide=First(Breakage.THROTTLED)) as proxy:
        said = json.loads((await send(proxy.url, target=target)).body)
    assert said["__type"].endswith(f"#{code}")


async def test_answers_in_chunks_pass(server: Server) -> None:
    chunks = b"4\r\nabcd\r\n3;x=y\r\nefg\r\n0\r\nlast: one\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    server.reply = lambda body: head + chunks
    async with FaultProxy(server.url, rates={}) as proxy:
        assert (await send(proxy.url)).body == b"abcdefg"


async def faults_of(server: Server, seed: int) -> dict[Breakage, int]:
    async with FaultProxy(server.url, seed=seed, rates=STORMY, delays=(0.0, 0.0)) as proxy:
        for _ in range(60):
            try:
                await send(proxy.url)
            except AnswerLost:
                continue
        return dict(proxy.faults)


async def test_a_seed_makes_the_same_faults_again(echo: Server) -> None:
    first = await faults_of(echo, 1)
    assert first == await faults_of(echo, 1)
    assert first != await faults_of(echo, 2)


async def test_calm_ends_all_faults(echo: Server) -> None:
    async with FaultProxy(echo.url, rates={Breakage.FAILED: 1.0}) as proxy:
        assert (await send(proxy.url)).status == 500
        proxy.calm()
        assert (await send(proxy.url)).status == 200


async def test_what_is_late_is_given_up_when_the_proxy_ends(echo: Server) -> None:
    async with FaultProxy(echo.url, decide=First(Breakage.LATE), delays=(60.0, 60.0)) as proxy:
        with pytest.raises(AnswerLost):
            await send(proxy.url)
    assert echo.requests == []


async def test_a_service_that_is_not_there_answers_nothing(server: Server) -> None:
    async with FaultProxy("http://127.0.0.1:9", rates={}) as proxy:
        with pytest.raises(AnswerLost):
            await send(proxy.url)
    assert proxy.faults == {}
    server.reply = lambda body: None
    async with FaultProxy(server.url, rates={}) as proxy:
        with pytest.raises(AnswerLost):
            await send(proxy.url)


async def test_what_is_no_http_is_hung_up_on(echo: Server) -> None:
    async with FaultProxy(echo.url, rates={}) as proxy:
        pool = Pool(proxy.url, clock=SystemClock())
        with pytest.raises(AnswerLost):
            await pool.send(b"POST / HTTP/1.1\r\ncontent-length: many\r\n\r\n", b"")
        await pool.close()
    assert proxy.requests == 0


@pytest.mark.parametrize("url", ["https://dynamodb.eu-west-1.amazonaws.com", "127.0.0.1:4566"])
def test_it_stands_in_front_of_emulators_only(url: str) -> None:
    with pytest.raises(ValueError, match="emulator"):
        FaultProxy(url)


def test_there_is_no_more_than_certainty() -> None:
    with pytest.raises(ValueError, match="likelier"):
        FaultProxy("http://127.0.0.1:9", rates={Breakage.RESET: 0.6, Breakage.LOST: 0.6})
