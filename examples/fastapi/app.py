"""Actors in a FastAPI application that exists already: mounted, and called from its routes."""

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

from rivetless import Actor, ActorError, Event, UserError, action, setup

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


registry = setup(use=[Shopper])

# --8<-- [start:mount]
actors = registry.handler()
client = actors.client()  # its calls stay in this process

app = FastAPI(lifespan=actors.lifespan)
app.mount("/actors", actors)  # browsers connect to http://localhost:8000/actors
# --8<-- [end:mount]


# --8<-- [start:routes]
@app.post("/baskets/{person}/items", status_code=201)
async def add_item(person: str, item: Item) -> Basket:
    """Put something into a person's basket."""
    try:
        return await client.get_or_create(Shopper, person).add(item)
    except ActorError as error:
        if error.group != "user":
            raise
        raise HTTPException(422, {"code": error.code, "message": error.message}) from error


@app.get("/baskets/{person}")
async def read_basket(person: str) -> Basket:
    """Return a person's basket."""
    try:
        return await client.get(Shopper, person).basket()
    except ActorError as error:
        if error.name != "actor.not_found":
            raise
        raise HTTPException(404, "This person has no basket.") from error


# --8<-- [end:routes]
