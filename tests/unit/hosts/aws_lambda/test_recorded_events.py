"""The recorded events are as AWS sends them: Powertools' models read them."""

from typing import Any

import pytest
from aws_lambda_powertools.utilities.parser import models
from pydantic import BaseModel

from tests.unit.hosts.aws_lambda.functions import EVENTS, recorded

MODELS: dict[str, type[BaseModel]] = {
    "alb": models.AlbModel,
    "dynamodb_stream": models.DynamoDBStreamModel,
    "eventbridge_scheduled": models.EventBridgeModel,
    "function_url": models.LambdaFunctionUrlModel,
    "http_api_v1": models.APIGatewayProxyEventModel,
    "http_api_v2": models.APIGatewayProxyEventV2Model,
    "http_api_v2_stage": models.APIGatewayProxyEventV2Model,
    "rest_api_v1": models.APIGatewayProxyEventModel,
    "s3": models.S3Model,
    "sqs": models.SqsModel,
    "sqs_fifo": models.SqsModel,
    "websocket_connect": models.APIGatewayWebSocketConnectEventModel,
    "websocket_disconnect": models.APIGatewayWebSocketDisconnectEventModel,
    "websocket_message": models.APIGatewayWebSocketMessageEventModel,
}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_powertools_reads_it(name: str) -> None:
    event: Any = MODELS[name].model_validate(recorded(name))
    assert isinstance(event, MODELS[name])


def test_every_event_of_aws_has_a_model() -> None:
    # Our own messages, and shapes that Powertools has no model for.
    ours = {"alb_multi", "direct_call", "eventbridge_rule", "scheduler"}
    names = {path.stem for path in EVENTS.glob("*.json")} - ours
    assert names == set(MODELS)
