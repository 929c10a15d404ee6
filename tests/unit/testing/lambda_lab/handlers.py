"""Small handlers that the lab's tests run in real Lambda processes."""

import base64
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any


def echo(event: Any, context: Any) -> Any:
    """Do what the event says, and tell who did it."""
    if event.get("fail"):
        raise ValueError(event["fail"])
    if "exit" in event:
        os._exit(event["exit"])
    if event.get("size"):
        return "x" * event["size"]
    if event.get("print"):
        print(event["print"])  # noqa: T201
    time.sleep(event.get("seconds", 0))
    return {
        "event": event,
        "pid": os.getpid(),
        "request": context.aws_request_id,
        "left": context.get_remaining_time_in_millis(),
        "arn": context.invoked_function_arn,
        "set": os.environ.get("LAB_TEST"),
    }


def gateway(event: Any, context: Any) -> Any:
    """Echo requests, and what sockets say by way of ``@connections``."""
    if "Records" in event:
        return _batch(event["Records"])
    if event.get("rivetless") == "sweep":
        return {"swept": True}
    about = event["requestContext"]
    if about.get("eventType") == "CONNECT":
        return _admit(event)
    if about.get("eventType") == "MESSAGE":
        if event["body"] == "fail":
            raise ValueError("as you wish")
        _post(about["connectionId"], f"{event['body']}!".encode())
    if "eventType" in about:
        return {"statusCode": 200}
    path = event["rawPath"]
    if path == "/fail":
        raise ValueError("as you wish")
    if path == "/binary":
        data = base64.b64encode(bytes(range(256))).decode()
        return {"statusCode": 201, "body": data, "isBase64Encoded": True, "cookies": ["a=1", "b=2"]}
    if path == "/nonsense":
        return {"statusCode": "many"}
    return event


def _admit(event: Any) -> Any:
    query = event.get("queryStringParameters", {})
    if "refuse" in query.get("rivetless-url", ""):
        return {"statusCode": int(query["rivetless-url"].rpartition("=")[2])}
    if "early" in query.get("rivetless-url", ""):
        status = _post(event["requestContext"]["connectionId"], b"too early")
        return {"statusCode": 200 if status == 410 else 500}
    asked = event["headers"].get("Sec-WebSocket-Protocol", "").split(",")
    chosen = {"Sec-WebSocket-Protocol": "rivet"} if "rivet" in asked else {}
    return {"statusCode": 200, "headers": chosen}


def _batch(records: list[Any]) -> Any:
    """Post what frames say; fail those messages that ask for it."""
    failed: list[str] = []
    for record in records:
        body = json.loads(record["body"])
        if body.get("rivetless") == "frame":
            _post(body["connection"], base64.b64decode(body["data"]) + b"?")
        elif body.get("poison"):
            failed.append(record["messageId"])
        else:
            print("message", body["n"], flush=True)  # noqa: T201
    return {"batchItemFailures": [{"itemIdentifier": name} for name in failed]}


def _post(connection: str, data: bytes) -> int:
    endpoint = os.environ["RIVETLESS_SOCKETS_ENDPOINT"]
    url = f"{endpoint}/@connections/{urllib.parse.quote(connection, safe='')}"
    headers = {"authorization": "AWS4-HMAC-SHA256 Credential=lab"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
