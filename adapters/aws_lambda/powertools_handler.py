"""The same with Powertools for AWS Lambda: its logs, traces and metrics, and a queue of your own.

Deploy it with ``Handler=powertools_handler.handler`` and the lines of requirements-powertools.txt
in requirements.txt. Powertools costs 40 to 120 ms of each cold start.
"""
# pyright: reportUnknownVariableType=false
# Powertools is typed in part.

from typing import Any, cast

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel

from rivetless import Actor, action, setup
from rivetless.hosts.aws_lambda import aws_lambda

logger = Logger(service="actors")
tracer = Tracer(service="actors")
metrics = Metrics(namespace="actors", service="actors")


class BasketState(BaseModel):
    """What a basket keeps."""

    articles: list[str] = []


class Basket(Actor[BasketState]):
    """Replace this by actors of your own."""

    @action
    async def add(self, article: str) -> int:
        """Put something in."""
        self.state.articles.append(article)
        logger.info("added", article=article)
        return len(self.state.articles)


class Order(BaseModel):
    """What a message of your own queue says."""

    basket: str
    article: str


actors = aws_lambda(setup(use=[Basket]), json_logs=False)
orders = BatchProcessor(EventType.SQS)


@tracer.capture_method
def take(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """Run an action for a message; one that fails comes back."""
    order = parse(record.json_body, Order)
    call = {
        "rivetless": "call",
        "name": "basket",
        "key": [order.basket],
        "create": True,
        "action": "add",
        "args": [order.article],
        # A message that is delivered twice is put in once.
        "idempotency_key": record.message_id,
    }
    answer = cast("dict[str, Any]", actors(call, lambda_context))
    if "error" in answer:
        raise RuntimeError(answer["error"])
    metrics.add_metric("Orders", unit=MetricUnit.Count, value=1)


@metrics.log_metrics(capture_cold_start_metric=True)
def take_all(event: dict[str, Any], context: LambdaContext) -> object:
    """Take a batch of messages; the answer names those that failed."""
    return process_partial_response(event, take, orders, context)


@logger.inject_lambda_context
@tracer.capture_lambda_handler
def handler(event: dict[str, Any], context: LambdaContext) -> object:
    """Handle an event: what your queue sends, and what actors are told."""
    records: list[dict[str, Any]] = event.get("Records") or [{}]
    if str(records[0].get("eventSourceARN")).endswith(":orders"):
        return take_all(event, context)
    return actors(event, context)
