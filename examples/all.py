"""The actors of all examples in one registry: what ``scripts/dev`` serves."""

from examples.auth.app import Document
from examples.chat.app import ChatRoom, Directory
from examples.concepts.app import registry as concepts
from examples.fastapi.app import Shopper
from examples.quickstart.app import Counter
from examples.raw_http.app import Album
from examples.raw_websocket.app import SensorHub
from rivetless import setup

registry = setup(
    use=[
        Counter,
        ChatRoom,
        Directory,
        Document,
        Album,
        SensorHub,
        Shopper,
        *(definition.cls for definition in concepts.definitions.values()),
    ]
)
