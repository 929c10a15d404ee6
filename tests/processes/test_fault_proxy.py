"""A DynamoDB that breaks one request in five, under several servers and under several stores.

``--real-faults 200`` makes 600 transfers through each client, with some 1,800 faults.
"""

from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from rivetless.testing.fault_proxy import Breakage, FaultProxy
from tests.behaviour.world import NO_TLS
from tests.figures import Figures
from tests.ministack import make_table
from tests.processes.bank import Bank
from tests.processes.zygote import ForkedServer, Zygote

pytestmark = [pytest.mark.aws, pytest.mark.timeout(1800)]

APP = "tests.processes.bank:registry"
SERVERS = 3
ACCOUNTS = 8
CALLERS = 12
ORDERS = 60
SEED = 7


@pytest.mark.parametrize("boto", [False, True], ids=["lean", "boto"])
async def test_a_ledger_stays_exact(
    ministack: str, tmp_path: Path, figures: Figures, boto: bool
) -> None:
    async with AsyncExitStack() as stack:
        # --8<-- [start:proxy]
        proxy = await stack.enter_async_context(FaultProxy(ministack, seed=SEED))
        where = f"dynamodb:{make_table(ministack)}?endpoint={proxy.url}"
        # --8<-- [end:proxy]
        servers = [
            ForkedServer(APP, where, tmp_path / f"{number}.txt", boto=boto)
            for number in range(SERVERS)
        ]
        zygote = stack.enter_context(Zygote())
        doors: list[httpx.AsyncClient] = []
        for server in servers:
            server.zygote = zygote
            # Servers wait for a store that is not there; starting in parallel is quicker.
            server.launch()
            stack.callback(server.close)
            http = httpx.AsyncClient(base_url=server.endpoint, timeout=60, verify=NO_TLS)
            doors.append(await stack.enter_async_context(http))
        bank = Bank(doors, ACCOUNTS, SEED)
        await bank.carry_out(
            bank.orders(ORDERS if figures.rounds is None else 3 * figures.rounds), CALLERS
        )
        proxy.calm()
        await proxy.settle()
        await bank.check()
    assert set(proxy.faults) == set(Breakage)
    figures.tell(
        f"faults between {SERVERS} servers and DynamoDB ({'boto3' if boto else 'lean client'})",
        requests=proxy.requests,
        faults=proxy.faults.total(),
        acknowledged_transfers=len(bank.done),
        lost=0,
        doubled=0,
        **{f"of_them_{fault.name.lower()}": count for fault, count in sorted_faults(proxy)},
    )


def sorted_faults(proxy: FaultProxy) -> list[tuple[Breakage, int]]:
    """Return how many faults of each kind there were, in the order of the kinds."""
    return [(fault, proxy.faults[fault]) for fault in Breakage]
