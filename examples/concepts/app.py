"""The actors of the concept pages in one registry."""

from examples.concepts.actions import Account
from examples.concepts.guarantees import Order
from examples.concepts.identity import Game, Player
from examples.concepts.keeping import Diary
from examples.concepts.lifecycle import Archive, Station
from rivetless import setup

registry = setup(use=[Account, Archive, Diary, Game, Order, Player, Station])
