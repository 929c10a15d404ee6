"""Which client, endpoint and region: what the environment says, read as AWS's SDKs read it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from rivetless.aws.boto import BotoClient
from rivetless.aws.client import Client
from rivetless.aws.credentials import Provider, is_loopback
from rivetless.aws.lean import LeanClient
from rivetless.aws.signing import Credentials
from rivetless.clock import Clock

_NOBODY: Final = Credentials("local", "local")
_LOCAL_REGION: Final = "us-east-1"


def choose_client(
    *,
    endpoint: str | None = None,
    region: str | None = None,
    clock: Clock,
    environ: Mapping[str, str] | None = None,
) -> Client:
    """Return the lean client where it suffices, else boto3.

    boto3 is needed to find credentials that are neither in the environment nor given to a
    container, to find a region in a profile, to go through a proxy, and for FIPS and dual-stack
    endpoints. An endpoint on this machine, where an emulator is, needs no credentials.

    Args:
        endpoint: URL of the service; default ``AWS_ENDPOINT_URL_DYNAMODB``, ``AWS_ENDPOINT_URL``,
            or the region's own.
        region: default ``AWS_REGION``, ``AWS_DEFAULT_REGION``.
        clock: where the time comes from.
        environ: the environment.
    """
    environ = os.environ if environ is None else environ
    endpoint = endpoint or configured_endpoint(environ)
    local = endpoint is not None and is_loopback(endpoint)
    region = region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    provider = Provider(clock=clock, environ=environ)
    if local and not provider.available:
        provider = Provider(clock=clock, environ=environ, fixed=_NOBODY)
    if local:
        region = region or _LOCAL_REGION
    if region is None or not provider.available or (endpoint is None and _is_special(environ)):
        return BotoClient(endpoint=endpoint, region=region)
    url = endpoint or regional_endpoint(region)
    if uses_proxy(url, environ):
        return BotoClient(endpoint=endpoint, region=region)
    return LeanClient(
        url, region, provider, clock=clock, ca_bundle=environ.get("AWS_CA_BUNDLE") or None
    )


def configured_endpoint(environ: Mapping[str, str]) -> str | None:
    """Return the endpoint that the environment names."""
    if environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return None
    return environ.get("AWS_ENDPOINT_URL_DYNAMODB") or environ.get("AWS_ENDPOINT_URL") or None


def regional_endpoint(region: str) -> str:
    """Return where a region's DynamoDB is."""
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://dynamodb.{region}.{suffix}"


def uses_proxy(url: str, environ: Mapping[str, str]) -> bool:
    """Say whether the environment wants a URL to be reached through a proxy."""
    parts = urlsplit(url)
    name = f"{parts.scheme}_proxy"
    # HTTP_PROXY in capitals can be set by whoever sends a CGI program a request: not heeded.
    proxy = environ.get(name) or (environ.get(name.upper()) if parts.scheme == "https" else None)
    if not proxy:
        return False
    host = (parts.hostname or "").lower()
    exempt = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    for entry in exempt.lower().split(","):
        name = entry.strip().lstrip("*").lstrip(".").rpartition(":")[0] or entry.strip(" .*")
        if entry.strip() == "*" or (name and (host == name or host.endswith(f".{name}"))):
            return False
    return True


def _is_special(environ: Mapping[str, str]) -> bool:
    return any(
        environ.get(name, "").lower() == "true"
        for name in ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT")
    )
