"""``BotoClient``: the same requests through AWS's SDK, for its search for credentials.

Profiles, SSO, assumed roles, instance metadata, proxies: what boto3 finds, this has. It is slower
(a thread hop and about a millisecond a call), and the only module that loads ``boto3``.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, Self

from rivetless.aws.client import (
    CONNECT_TIMEOUT,
    CONNECTIONS,
    READ_TIMEOUT,
    AnswerLost,
    Client,
    NotSent,
    Payload,
    ServiceError,
)
from rivetless.aws.services import Service
from rivetless.errors import missing_extra

_making: Final = threading.Lock()


class BotoClient(Client):
    """Sends through boto3, in threads.

    Args:
        service: whom to call.
        endpoint: instead of the one boto3 finds.
        region: instead of the one boto3 finds.
        connect_timeout: seconds until a connection must stand.
        read_timeout: seconds until an answer must be there.
        connections: how many requests may be under way at once, each in a thread.

    Raises:
        MissingExtraError: boto3 is not installed.
    """

    def __init__(
        self,
        service: Service,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        connections: int = CONNECTIONS,
    ) -> None:
        if importlib.util.find_spec("boto3") is None:
            missing_extra("aws", "boto3")
        self._service = service
        self._endpoint = endpoint
        self._region = region
        self._timeouts = (connect_timeout, read_timeout)
        self._connections = connections
        self._threads: ThreadPoolExecutor | None = None
        self._client: Any = None
        self._lock = asyncio.Lock()

    def __repr__(self) -> str:
        name, endpoint, region = self._service.name, self._endpoint, self._region
        return f"BotoClient({name!r}, endpoint={endpoint!r}, region={region!r})"

    async def __aenter__(self) -> Self:
        self._threads = ThreadPoolExecutor(
            self._connections, thread_name_prefix=f"rivetless-{self._service.name}"
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        client, self._client = self._client, None
        threads, self._threads = self._threads, None
        if threads is not None:
            if client is not None:
                await asyncio.get_running_loop().run_in_executor(threads, client.close)
            threads.shutdown(wait=False)

    async def call(self, operation: str, payload: Payload) -> Payload:
        if self._threads is None:
            raise NotSent("the client is not open")
        loop = asyncio.get_running_loop()
        if self._client is None:
            async with self._lock:
                if self._client is None:
                    self._client = await loop.run_in_executor(self._threads, self._make)
        return await loop.run_in_executor(self._threads, _send, self._client, operation, payload)

    def _make(self) -> Any:
        boto3 = importlib.import_module("boto3")
        config = importlib.import_module("botocore.config")
        errors = importlib.import_module("botocore.exceptions")
        connect, read = self._timeouts
        try:
            # With the default session, which a user may have set up; one at a time makes it.
            with _making:
                return boto3.client(
                    self._service.name,
                    endpoint_url=self._endpoint,
                    region_name=self._region,
                    config=config.Config(
                        connect_timeout=connect,
                        read_timeout=read,
                        max_pool_connections=self._connections,
                        # Only we know which requests may be sent twice.
                        retries={"mode": "standard", "total_max_attempts": 1},
                    ),
                )
        except errors.BotoCoreError as error:
            raise NotSent(str(error)) from error


def _send(client: Any, operation: str, payload: Payload) -> Payload:
    errors = importlib.import_module("botocore.exceptions")
    try:
        answer: Payload = getattr(client, _method(operation))(**payload)
    except errors.ClientError as error:
        body: Payload = error.response
        said = body.get("Error", {})
        status = body.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        raise ServiceError(
            str(said.get("Code", "")), int(status), str(said.get("Message", "")), body
        ) from error
    except (
        errors.ReadTimeoutError,
        errors.ConnectionClosedError,
        errors.ResponseStreamingError,
        errors.ChecksumError,
    ) as error:
        raise AnswerLost(str(error)) from error
    except (
        errors.EndpointConnectionError,
        errors.ConnectTimeoutError,
        errors.ProxyConnectionError,
        errors.NoCredentialsError,
        errors.PartialCredentialsError,
        errors.CredentialRetrievalError,
        errors.TokenRetrievalError,
        errors.UnauthorizedSSOTokenError,
        errors.ParamValidationError,
    ) as error:
        raise NotSent(str(error)) from error
    except errors.BotoCoreError as error:
        # Some of these are raised before anything is sent, but not all.
        raise AnswerLost(str(error)) from error
    answer.pop("ResponseMetadata", None)
    return answer


@lru_cache(maxsize=32)
def _method(operation: str) -> str:
    """Return boto3's name of an operation: ``GetItem`` is ``get_item``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
