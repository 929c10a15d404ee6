"""Where credentials come from in the places that need no search: environment and container.

AWS's own chain is longer (profiles, SSO, instance metadata); that is left to its SDK.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rivetless.aws.client import CallError, NotSent
from rivetless.aws.http import Pool
from rivetless.aws.signing import Credentials
from rivetless.clock import Clock

RENEWED_BEFORE: Final = 300.0
"""Seconds before their end at which credentials are fetched anew."""

_CONTAINER: Final = "http://169.254.170.2"
_TRUSTED: Final = frozenset({"169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"})


def from_environment(environ: Mapping[str, str]) -> Credentials | None:
    """Return the credentials in ``AWS_ACCESS_KEY_ID`` and so on, as in every Lambda function."""
    access_key = environ.get("AWS_ACCESS_KEY_ID")
    secret_key = environ.get("AWS_SECRET_ACCESS_KEY")
    if not access_key or not secret_key:
        return None
    return Credentials(access_key, secret_key, environ.get("AWS_SESSION_TOKEN") or None)


def container_url(environ: Mapping[str, str]) -> str | None:
    """Return where a container gets its credentials; ``None`` outside of one.

    Raises:
        ValueError: the address is neither encrypted nor the machine's own.
    """
    if relative := environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        return _CONTAINER + relative
    url = environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme != "https" and not (is_loopback(url) or parts.netloc in _TRUSTED):
        raise ValueError(f"credentials are not asked of {parts.netloc} without encryption")
    return url


def is_loopback(url: str) -> bool:
    """Say whether a URL leads to this machine."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.endswith(".localhost") or host.startswith("127.")


class Provider:
    """Hands out credentials, and fetches new ones before they end.

    Args:
        clock: tells when that is.
        environ: the environment.
        fixed: credentials to use whatever the environment says.
    """

    def __init__(
        self, *, clock: Clock, environ: Mapping[str, str], fixed: Credentials | None = None
    ) -> None:
        self._clock = clock
        self._environ = environ
        self._fixed = fixed
        self._fetched: Credentials | None = None
        self._lock = asyncio.Lock()

    @property
    def available(self) -> bool:
        """Whether there is anything to hand out."""
        return (
            self._fixed is not None
            or from_environment(self._environ) is not None
            or container_url(self._environ) is not None
        )

    async def get(self) -> Credentials:
        """Return credentials that are good for a while.

        Raises:
            NotSent: there are none.
        """
        found = self._fixed or from_environment(self._environ)
        if found is not None:
            return found
        if self._stale():
            async with self._lock:
                if self._stale():
                    await self._renew()
        if self._fetched is None:
            raise NotSent("there are no AWS credentials in the environment")
        return self._fetched

    def _stale(self) -> bool:
        have = self._fetched
        return have is None or (
            have.expires_at is not None and have.expires_at - RENEWED_BEFORE <= self._clock.now()
        )

    async def _renew(self) -> None:
        try:
            self._fetched = await self._fetch()
        except CallError as error:
            have = self._fetched
            if have is None or have.expires_at is None or have.expires_at <= self._clock.now():
                raise NotSent(f"no AWS credentials: {error}") from error
            # The old ones are good for some minutes yet.

    async def _fetch(self) -> Credentials:
        url = container_url(self._environ)
        if url is None:
            raise NotSent("there are no AWS credentials in the environment")
        parts = urlsplit(url)
        path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        pool = Pool(url, clock=self._clock)
        token = await self._token()
        head = f"GET {path} HTTP/1.1\r\nhost: {pool.authority}\r\naccept: application/json\r\n"
        if token:
            head += f"authorization: {token}\r\n"
        try:
            answer = await pool.send(f"{head}\r\n".encode(), b"")
        finally:
            await pool.close()
        try:
            if answer.status != 200:
                raise ValueError(f"status {answer.status}")
            body = json.loads(answer.body)
            return Credentials(
                body["AccessKeyId"],
                body["SecretAccessKey"],
                body["Token"],
                datetime.fromisoformat(body["Expiration"]).timestamp(),
            )
        except (LookupError, TypeError, ValueError) as error:
            raise NotSent(f"{pool.authority} gave no credentials: {error}") from error

    async def _token(self) -> str | None:
        file = self._environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        if file is None:
            return self._environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
        try:
            token = (await asyncio.to_thread(Path(file).read_text)).strip()
        except OSError as error:
            raise NotSent(f"the container's token cannot be read: {error}") from error
        if "\r" in token or "\n" in token:
            raise NotSent("the container's token has more than one line")
        return token
