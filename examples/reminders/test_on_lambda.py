"""Reminders in Lambda processes: they ring although processes die and messages come twice."""

import pytest

from examples.reminders.app import Person
from rivetless.client import Client
from rivetless.testing.lambda_lab import LambdaLab, Unreliable


# --8<-- [start:lab]
@pytest.mark.timeout(90)  # functions start cold
async def test_rings_once_in_lambda() -> None:
    async with (
        LambdaLab("examples.reminders.app:registry", visibility=1) as lab,
        Client(lab.endpoint, encoding="json") as client,
    ):
        lab.wakes.fate = Unreliable(seed=1, doubled=1.0)
        ann = client.get_or_create(Person, "ann")
        async with client.connect(ann) as connection:
            rings = connection.events(Person.rang)
            await connection.actor.remind_me("tea", 1)
            for process in lab.function.environments:
                process.kill()
            assert (await anext(rings)).text == "tea"
        assert await ann.history() == ["tea"]


# --8<-- [end:lab]
