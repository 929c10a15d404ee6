"""The actors of all examples in one registry: what ``scripts/dev`` serves."""

from examples.ai_agent.app import Agent
from examples.approval.app import Approval
from examples.auth.app import Document
from examples.batch.app import Indexer
from examples.chat.app import ChatRoom, Directory
from examples.checkout.app import Checkout, NumberedCheckout
from examples.concepts.app import registry as concepts
from examples.cron_digest.app import Reader
from examples.fastapi.app import Shopper
from examples.order_saga.app import Purchase
from examples.queue_worker.app import Shop, Thumbnailer
from examples.quickstart.app import Counter
from examples.raw_http.app import Album
from examples.raw_websocket.app import SensorHub
from examples.reminders.app import Person
from rivetless import setup

registry = setup(
    use=[
        Counter,
        ChatRoom,
        Directory,
        Checkout,
        NumberedCheckout,
        Document,
        Person,
        Reader,
        Album,
        Agent,
        Approval,
        Indexer,
        Purchase,
        SensorHub,
        Shop,
        Shopper,
        Thumbnailer,
        *(definition.cls for definition in concepts.definitions.values()),
    ]
)
