"""Make in LocalStack what functions need, and print the environment that names it.

Usage: python infra/localstack/bootstrap.py [NAME]        (default: rivetless)

LocalStack is found as ``localstack-client`` finds it: ``AWS_ENDPOINT_URL``, or ``LOCALSTACK_HOST``.
What is there already is left as it is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from rivetless.store.dynamodb import table

_REGION = "us-east-1"


def bootstrap(session: Any, name: str) -> Mapping[str, str]:
    """Make table, queues and schedule group; return the functions' environment.

    Args:
        session: boto3's, or localstack-client's.
        name: what all names begin with.
    """
    dynamodb, sqs = session.client("dynamodb"), session.client("sqs")
    scheduler = session.client("scheduler")
    pages = dynamodb.get_paginator("list_tables").paginate()
    if not any(name in page["TableNames"] for page in pages):
        dynamodb.create_table(**table.definition(name))
        dynamodb.get_waiter("table_exists").wait(TableName=name)
        dynamodb.update_time_to_live(**table.expiry(name))
    wakes = _queue(sqs, f"{name}-wakes", {})
    frames = _queue(sqs, f"{name}-frames.fifo", {"FifoQueue": "true"})
    groups = scheduler.list_schedule_groups(NamePrefix=name)["ScheduleGroups"]
    if name not in [group["Name"] for group in groups]:
        scheduler.create_schedule_group(Name=name)
    arn = sqs.get_queue_attributes(QueueUrl=wakes, AttributeNames=["QueueArn"])["Attributes"]
    return {
        "RIVETLESS_STORE": f"dynamodb:{name}",
        "RIVETLESS_WAKE_QUEUE_URL": wakes,
        "RIVETLESS_WAKE_QUEUE_ARN": arn["QueueArn"],
        "RIVETLESS_FRAMES_QUEUE_URL": frames,
        "RIVETLESS_SCHEDULE_GROUP": name,
        "RIVETLESS_SCHEDULE_ROLE_ARN": "arn:aws:iam::000000000000:role/schedules",
    }


def _queue(sqs: Any, name: str, attributes: dict[str, str]) -> str:
    """Make a queue whose messages end in a dead-letter queue; return its URL."""
    stem, dot, suffix = name.partition(".")
    dead = f"{stem}-dead{dot}{suffix}"
    url = sqs.create_queue(QueueName=dead, Attributes=attributes)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    redrive = {"deadLetterTargetArn": arn["QueueArn"], "maxReceiveCount": "5"}
    made = attributes | {"VisibilityTimeout": "180", "RedrivePolicy": json.dumps(redrive)}
    return str(sqs.create_queue(QueueName=name, Attributes=made)["QueueUrl"])


def main() -> None:
    """Make everything and print the environment, for a shell to read."""
    session = import_module("localstack_client.session").Session(region_name=_REGION)
    made = bootstrap(session, sys.argv[1] if len(sys.argv) > 1 else "rivetless")
    for name, value in made.items():
        sys.stdout.write(f"export {name}='{value}'\n")


if __name__ == "__main__":
    main()
