"""Which client, endpoint and region: what the environment says, read as AWS's SDKs read it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from rivetless.aws.client import CONNECTIONS, Client
from rivetless.aws.credentials import Provider, is_loopback
from rivetless.aws.lean import LeanClient
from rivetless.aws.services import Service
from rivetless.aws.signing import Credentials
from rivetless.clock import Clock

_NOBODY: Final = Credentials("local", "local")
_LOCAL_REGION: Final = "us-east-1"


def choose_client(
    service: Service,
    *,
    endpoint: str | None = None,
    region: str | None = None,
    clock: Clock,
    environ: Mapping[str, str] | None = None,
    connections: int = CONNECTIONS,
) -> Client:
    """Return the lean client where it suffices, else boto3.

    boto3 is needed to find credentials that are neither in the environment nor given to a
    container, to find a region in a profile, to go through a proxy, and for endpoints out of the
    ordinary: FIPS, dual-stack, isolated regions. An endpoint on this machine, where an emulator is,
    needs no credentials.

    Args:
        service: whom to call.
        endpoint: its URL; default the service's own variable (``AWS_ENDPOINT_URL_SQS``),
            ``AWS_ENDPOINT_URL``, or the region's.
        region: default ``AWS_REGION``, ``AWS_DEFAULT_REGION``.
        clock: where the time comes from.
        environ: the environment.
        connections: how many requests may be under way at once.

    Raises:
        ValueError: the service has no endpoint that goes without saying, and nobody said it.
        MissingExtraError: boto3 is needed and not installed.
    """
    environ = os.environ if environ is None else environ
    endpoint = endpoint or configured_endpoint(service, environ)
    if endpoint is None and not service.shared:
        raise ValueError(f"name the endpoint of {service.name}: give it, or set {service.variable}")
    local = endpoint is not None and is_loopback(endpoint)
    region = region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    provider = Provider(clock=clock, environ=environ)
    if local and not provider.available:
        provider = Provider(clock=clock, environ=environ, fixed=_NOBODY)
    if local:
        region = region or _LOCAL_REGION
    if region is not None and provider.available:
        url = endpoint or _regional_endpoint(service, region, environ)
        if url is not None and not uses_proxy(url, environ):
            return LeanClient(
                service,
                url,
                region,
                provider,
                clock=clock,
                connections=connections,
                ca_bundle=environ.get("AWS_CA_BUNDLE") or None,
            )
    # A function that starts cold has no use for it.
    from rivetless.aws.boto import BotoClient

    return BotoClient(service, endpoint=endpoint, region=region, connections=connections)


def configured_endpoint(service: Service, environ: Mapping[str, str]) -> str | None:
    """Return the endpoint that the environment names."""
    if _is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", environ):
        return None
    return environ.get(service.variable) or environ.get("AWS_ENDPOINT_URL") or None


def _regional_endpoint(service: Service, region: str, environ: Mapping[str, str]) -> str | None:
    """Return where a region's service is; ``None`` if that is for the SDK to know."""
    special = ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT")
    if "iso" in region or any(_is_true(name, environ) for name in special):
        return None
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://{service.host}.{region}.{suffix}"


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


def _is_true(name: str, environ: Mapping[str, str]) -> bool:
    return environ.get(name, "").lower() == "true"
