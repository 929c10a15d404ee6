"""HTTP in front of a function: API Gateway's HTTP API, or the function's own URL.

Both give the function events of format 2.0, and read the same kind of answer.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, cast
from urllib.parse import parse_qsl

from rivetless.clock import Clock, within
from rivetless.gateway.asgi import Receive, Scope, Send
from rivetless.testing.lambda_lab.function import ACCOUNT, REGION, Function
from rivetless.testing.lambda_lab.web import read_body, reply, reply_json, request_id

__all__ = ["MAX_EVENT_BYTES", "HttpApi", "HttpKind"]

HttpKind = Literal["http_api", "function_url"]

MAX_EVENT_BYTES: Final = 6 * 1024 * 1024
"""What Lambda takes as a payload. A body that is not text travels as base64, a third larger."""

# How long each waits for the function; its URL as long as the function may take.
_INTEGRATION: Final[dict[HttpKind, float | None]] = {"http_api": 30.0, "function_url": None}

_TEXT: Final = ("text/", "application/json", "application/javascript", "application/xml")


class HttpApi:
    """Turns requests into invocations.

    Args:
        function: what is invoked.
        clock: tells the time of requests.
        kind: ``"http_api"`` or ``"function_url"``.
    """

    def __init__(self, function: Function, clock: Clock, kind: HttpKind = "http_api") -> None:
        self._function = function
        self._clock = clock
        self._kind: HttpKind = kind

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        event = self._event(scope, await read_body(receive))
        if len(event["body"]) > MAX_EVENT_BYTES:
            await reply_json(send, 413, {"message": "Request Entity Too Large"})
            return
        try:
            outcome = await within(
                self._clock, _INTEGRATION[self._kind], self._function.invoke(event)
            )
        except TimeoutError:
            await reply_json(send, 503, {"message": "Service Unavailable"})
            return
        if outcome.failed:
            status = 500 if self._kind == "http_api" else 502
            await reply_json(send, status, {"message": "Internal Server Error"})
            return
        try:
            status, body, headers = _read(outcome.value)
        except (TypeError, ValueError):
            await reply_json(send, 500, {"message": "Internal Server Error"})
            return
        if scope["method"] == "HEAD":
            # How long the body would be is for the function to say.
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
        else:
            await reply(send, status, body, headers)

    def _event(self, scope: Scope, body: bytes) -> dict[str, Any]:
        headers, cookies = _headers(scope)
        text = headers.get("content-type", "").startswith(_TEXT) or not body
        path = scope["raw_path"].decode("latin-1").partition("?")[0]
        query = scope["query_string"].decode("latin-1")
        event: dict[str, Any] = {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": query,
            "headers": headers,
            "requestContext": self._context(scope, headers, path),
            "body": body.decode("utf-8", "replace") if text else base64.b64encode(body).decode(),
            "isBase64Encoded": not text,
        }
        if cookies:
            event["cookies"] = cookies
        if query:
            event["queryStringParameters"] = _joined(parse_qsl(query, keep_blank_values=True))
        return event

    def _context(self, scope: Scope, headers: Mapping[str, str], path: str) -> dict[str, Any]:
        now = self._clock.now()
        client = scope.get("client") or ("127.0.0.1", 0)
        domain = (
            f"labapi.execute-api.{REGION}.amazonaws.com"
            if self._kind == "http_api"
            else f"laburl.lambda-url.{REGION}.on.aws"
        )
        return {
            "accountId": ACCOUNT,
            "apiId": domain.partition(".")[0],
            "domainName": domain,
            "domainPrefix": domain.partition(".")[0],
            "http": {
                "method": scope["method"],
                "path": path,
                "protocol": f"HTTP/{scope['http_version']}",
                "sourceIp": client[0],
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": request_id(),
            "routeKey": "$default",
            "stage": "$default",
            "time": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": round(now * 1000),
        }


def _headers(scope: Scope) -> tuple[dict[str, str], list[str]]:
    """Return headers, repeated ones joined, and cookies, which format 2.0 keeps apart."""
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    cookies = [c for name, value in pairs if name == "cookie" for c in value.split("; ")]
    headers = _joined([pair for pair in pairs if pair[0] not in ("cookie", "connection")])
    client = scope.get("client") or ("127.0.0.1", 0)
    headers["x-forwarded-for"] = ", ".join(
        address for address in (headers.get("x-forwarded-for"), client[0]) if address
    )
    headers["x-forwarded-proto"] = scope.get("scheme", "http")
    return headers, cookies


def _joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _read(answer: object) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
    """Read a function's answer.

    Raises:
        TypeError: it is not what API Gateway understands.
        ValueError: the same.
    """
    if not isinstance(answer, dict) or "statusCode" not in answer:
        # Format 2.0 takes anything else for the body of a good answer.
        return 200, json.dumps(answer).encode(), [(b"content-type", b"application/json")]
    found = cast("dict[str, Any]", answer)
    body: str = found.get("body") or ""
    data = base64.b64decode(body, validate=True) if found.get("isBase64Encoded") else body.encode()
    given: dict[str, object] = found.get("headers") or {}
    cookies: list[str] = found.get("cookies") or []
    headers = [
        (name.lower().encode("latin-1"), str(value).encode("latin-1"))
        for name, value in given.items()
    ]
    headers += [(b"set-cookie", cookie.encode("latin-1")) for cookie in cookies]
    if b"content-type" not in dict(headers) and data:
        headers.append((b"content-type", b"application/json"))
    return int(found["statusCode"]), data, headers
