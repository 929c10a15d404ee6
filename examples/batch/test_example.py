"""Many branches, and a process that dies between them."""

from examples.batch.app import Indexer, Pages
from rivetless.testing.rig import Rig

URLS = [f"https://example.com/{'-'.join(['word'] * n)}" for n in range(1, 101)]


# --8<-- [start:test]
async def test_each_page_is_counted_once(rig: Rig) -> None:
    indexer = rig.client.get_or_create(Indexer, "site", input=Pages(urls=URLS))
    await indexer.look()
    rig.restart()
    await rig.advance(120)
    index = await indexer.look()
    assert index.total == sum(range(1, 101))
    assert len(index.words) == 100


# --8<-- [end:test]
