"""AWS Signature Version 4: proves with every request that it comes from the credentials' owner."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from hmac import HMAC
from hmac import digest as hmac_digest
from typing import Final
from urllib.parse import quote

from rivetless.frozen import frozen

__all__ = ["Credentials", "authorization", "timestamp"]

_ALGORITHM: Final = "AWS4-HMAC-SHA256"


@frozen
class Credentials:
    """Who we are to AWS.

    Attributes:
        access_key: names the key.
        secret_key: the key; not in the ``repr``, so that it gets into no log.
        token: of a session, on temporary credentials.
        expires_at: Unix seconds; ``None`` if they do not expire.
    """

    access_key: str
    secret_key: str
    token: str | None = None
    expires_at: float | None = None

    def __repr__(self) -> str:
        return f"Credentials({self.access_key!r})"


def timestamp(now: float) -> str:
    """Return an instant as ``x-amz-date`` wants it: ``20150830T123600Z``."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))


@lru_cache(maxsize=16)
def signing_key(secret_key: str, date: str, region: str, service: str) -> bytes:
    """Return the key that signs for a day, a region and a service."""
    key = f"AWS4{secret_key}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac_digest(key, part.encode(), sha256)
    return key


def canonical_query(query: Mapping[str, str]) -> str:
    """Return a query as it is signed: sorted, with everything escaped that can be."""
    pairs = sorted((quote(name, safe="-_.~"), quote(query[name], safe="-_.~")) for name in query)
    return "&".join(f"{name}={value}" for name, value in pairs)


def authorization(
    credentials: Credentials,
    *,
    region: str,
    service: str,
    method: str,
    headers: Mapping[str, str],
    body: bytes,
    path: str = "/",
    query: Mapping[str, str] | None = None,
) -> str:
    """Return the ``Authorization`` header of a request.

    Args:
        credentials: who signs. A session token has to be among the headers already.
        region: of the service.
        service: name of the service, as in its endpoint.
        method: in capitals.
        headers: those to sign, names in lower case; with ``host`` and ``x-amz-date``.
        body: what is sent.
        path: escaped, as it is sent.
        query: not escaped yet.
    """
    names = sorted(headers)
    signed = ";".join(names)
    # What is sent is escaped once more, everywhere but in S3: `%3D` is signed as `%253D`.
    lines = [method, quote(path, safe="/-_.~"), canonical_query(query or {})]
    # Runs of spaces count as one.
    lines += [f"{name}:{' '.join(headers[name].split())}" for name in names]
    lines += ["", signed, sha256(body).hexdigest()]
    at = headers["x-amz-date"]
    scope = f"{at[:8]}/{region}/{service}/aws4_request"
    request = sha256("\n".join(lines).encode()).hexdigest()
    to_sign = f"{_ALGORITHM}\n{at}\n{scope}\n{request}"
    key = signing_key(credentials.secret_key, at[:8], region, service)
    signature = HMAC(key, to_sign.encode(), sha256).hexdigest()
    credential = f"{credentials.access_key}/{scope}"
    return f"{_ALGORITHM} Credential={credential}, SignedHeaders={signed}, Signature={signature}"
