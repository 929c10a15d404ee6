"""Actors in a FastAPI application that exists already: mounted, and called from its routes."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

from rivetless import Actor, ActorError, Client, Event, UserError, action, setup

PRICES = {"tea": 350, "cake": 420}


class Item(BaseModel):
    name: str
    count: int = Field(default=1, ge=1, le=99)


class Basket(BaseModel):
    items: dict[str, int] = {}
    total: int = 0


class Shopper(Actor[Basket], icon="basket-shopping"):
    """One person's basket."""

    changed = Event[Basket]()

    @action
    async def add(self, item: Item) -> Basket:
        """Put something into the basket."""
        if item.name not in PRICES:
            raise UserError("We do not sell that.", code="unknown_item", metadata=sorted(PRICES))
        self.state.items[item.name] = self.state.items.get(item.name, 0) + item.count
        self.state.total = sum(PRICES[name] * count for name, count in self.state.items.items())
        self.broadcast(self.changed, self.state)
        return self.state

    @action
    async def basket(self) -> Basket:
        """Return what is in the basket."""
        return self.state
