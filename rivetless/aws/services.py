"""The services we call, as data: names, endpoints and how their calls look over HTTP."""

from __future__ import annotations

from typing import Final

from rivetless.aws.wire import JsonWire, RestWire, Route, Wire, tagged_bytes
from rivetless.frozen import frozen


@frozen
class Service:
    """What a client has to know of a service.

    Attributes:
        name: boto3's; in capitals it ends the variable that names an endpoint.
        host: the first part of a region's endpoint, which signatures name too.
        wire: writes its requests and reads its answers.
        shared: whether a region has one endpoint for all; else everybody has their own.
    """

    name: str
    host: str
    wire: Wire
    shared: bool = True

    @property
    def variable(self) -> str:
        """The environment's name for an endpoint of this service."""
        return f"AWS_ENDPOINT_URL_{self.name.upper()}"


DYNAMODB: Final = Service("dynamodb", "dynamodb", JsonWire("DynamoDB_20120810", hook=tagged_bytes))

SQS: Final = Service(
    "sqs",
    "sqs",
    # Has errors named as they were before it spoke JSON, which is how boto3 names them.
    JsonWire("AmazonSQS", headers={"x-amzn-query-mode": "true"}),
)

SCHEDULER: Final = Service(
    "scheduler",
    "scheduler",
    RestWire(
        {
            "CreateSchedule": Route("POST", "/schedules/", "Name"),
            "GetSchedule": Route("GET", "/schedules/", "Name", {"GroupName": "groupName"}),
            "DeleteSchedule": Route("DELETE", "/schedules/", "Name", {"GroupName": "groupName"}),
        }
    ),
)

MANAGEMENT: Final = Service(
    "apigatewaymanagementapi",
    "execute-api",
    RestWire(
        {
            "PostToConnection": Route("POST", "/@connections/", "ConnectionId", blob="Data"),
            "GetConnection": Route("GET", "/@connections/", "ConnectionId"),
            "DeleteConnection": Route("DELETE", "/@connections/", "ConnectionId"),
        }
    ),
    shared=False,
)
