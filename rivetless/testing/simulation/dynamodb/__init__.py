"""DynamoDB, simulated: a client whose service is in the same process, without I/O or real time.

May import ``aws.client``, the store's table, the clock and the standard library.
"""

from rivetless.testing.simulation.dynamodb.deployment import deploy
from rivetless.testing.simulation.dynamodb.errors import NotSimulated
from rivetless.testing.simulation.dynamodb.service import SimulatedDynamoDB
from rivetless.testing.simulation.dynamodb.tables import Unseen

__all__ = ["NotSimulated", "SimulatedDynamoDB", "Unseen", "deploy"]
