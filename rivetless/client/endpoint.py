"""Where a server is and who calls: endpoint URLs, credentials, the environment."""

from __future__ import annotations

import os
import re
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from rivetless.frozen import frozen

__all__ = ["DEFAULT_ENDPOINT", "Endpoint", "find_endpoint"]

DEFAULT_ENDPOINT: Final = "http://localhost:6420"
DEFAULT_NAMESPACE: Final = "default"
DEFAULT_POOL: Final = "default"

_SLASHES: Final = re.compile("/{2,}")


@frozen
class Endpoint:
    """A server, seen by one client.

    Attributes:
        url: scheme, host and base path, without credentials and trailing slash.
        namespace: whose actors.
        token: credential, or None.
        pool: who may run new actors.
    """

    url: str
    namespace: str = DEFAULT_NAMESPACE
    token: str | None = None
    pool: str = DEFAULT_POOL

    def http(self, path: str, query: str = "") -> str:
        """Return the URL of a path below the endpoint.

        Runs of slashes collapse, as in the official client.
        """
        origin, base = _split(self.url)
        url = origin + _SLASHES.sub("/", base + path)
        return f"{url}?{query}" if query else url

    def redirected(self, url: str, namespace: str | None, token: str | None) -> Endpoint:
        """Return the endpoint that a server's metadata names; what it does not say stays.

        Raises:
            ValueError: ``url`` is no endpoint.
        """
        parsed = _parse(url)
        return Endpoint(
            parsed.url,
            namespace or parsed.namespace or self.namespace,
            token or parsed.token or self.token,
            self.pool,
        )


@frozen
class _Parsed:
    url: str
    namespace: str | None
    token: str | None


def find_endpoint(
    endpoint: str | None = None,
    *,
    namespace: str | None = None,
    token: str | None = None,
    pool: str | None = None,
) -> Endpoint:
    """Put together what the caller, the URL and the environment say.

    Credentials in the URL (``https://namespace:token@host``) come before the environment
    (``RIVET_NAMESPACE``, ``RIVET_TOKEN``), which only fills gaps.

    Raises:
        ValueError: the endpoint is no HTTP URL, has a query, a fragment or a token without a
            namespace, or repeats in the URL what is an option too.
    """
    parsed = _parse(
        endpoint
        or os.environ.get("RIVET_ENGINE")
        or os.environ.get("RIVET_ENDPOINT")
        or DEFAULT_ENDPOINT
    )
    if parsed.namespace and namespace:
        raise ValueError("The namespace is given twice: in the endpoint's URL and as an option.")
    if parsed.token and token:
        raise ValueError("The token is given twice: in the endpoint's URL and as an option.")
    return Endpoint(
        parsed.url,
        namespace or parsed.namespace or os.environ.get("RIVET_NAMESPACE") or DEFAULT_NAMESPACE,
        token or parsed.token or os.environ.get("RIVET_TOKEN") or None,
        pool or os.environ.get("RIVET_POOL") or DEFAULT_POOL,
    )


def _parse(endpoint: str) -> _Parsed:
    parts = urlsplit(endpoint)
    shown = _without_credentials(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"An endpoint is a URL such as {DEFAULT_ENDPOINT}, not {shown!r}.")
    if parts.query or parts.fragment:
        raise ValueError(f"An endpoint has neither a query nor a fragment: {shown!r}.")
    namespace = unquote(parts.username or "") or None
    token = unquote(parts.password or "") or None
    if token and not namespace:
        raise ValueError(
            "An endpoint with a token needs a namespace too: https://NAMESPACE:TOKEN@host"
        )
    host = parts.netloc.rpartition("@")[2]
    path = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~")
    return _Parsed(f"{parts.scheme}://{host}{path}", namespace, token)


def _without_credentials(endpoint: str) -> str:
    scheme, mark, rest = endpoint.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


def _split(url: str) -> tuple[str, str]:
    start = url.index("://") + 3
    slash = url.find("/", start)
    return (url, "") if slash < 0 else (url[:slash], url[slash:])
