"""Many pages fetched at the same time, each once."""

from collections.abc import Awaitable, Callable

from pydantic import BaseModel

from rivetless import Actor, WorkflowContext, action, setup, workflow


class Pages(BaseModel):
    urls: list[str]


class Index(BaseModel):
    urls: list[str]
    words: dict[str, int] = {}
    total: int | None = None


# --8<-- [start:batch]
class Indexer(Actor[Index]):
    """Counts the words of many pages."""

    async def create_state(self, input: Pages) -> Index:
        return Index(urls=input.urls)

    @workflow
    async def run(self, ctx: WorkflowContext) -> None:
        urls = await ctx.step("list", self.list_pages)
        counts = await ctx.join("pages", {url: self.page(url) for url in urls})
        await ctx.step("sum", self.sum_up, sum(counts.values()))

    def page(self, url: str) -> Callable[[WorkflowContext], Awaitable[int]]:
        """Make the branch of one page."""

        async def branch(ctx: WorkflowContext) -> int:
            return await ctx.step("count", self.count, url, retries=5, jitter=True)

        return branch

    async def list_pages(self) -> list[str]:
        return self.state.urls

    async def count(self, url: str) -> int:
        words = len(url.split("-"))  # a page would be fetched here
        self.state.words[url] = words
        return words

    async def sum_up(self, total: int) -> None:
        self.state.total = total

    # --8<-- [end:batch]

    @action
    async def look(self) -> Index:
        """Return what was counted so far."""
        return self.state


registry = setup(use=[Indexer])
