"""The secret that the processes of one deployment share."""

from __future__ import annotations

import logging
import os
import secrets
import stat
from pathlib import Path
from typing import Final

__all__ = ["MIN_BYTES", "SECRET_VARIABLE", "find_secret", "read_or_make"]

SECRET_VARIABLE: Final = "RIVETLESS_SECRET"
MIN_BYTES: Final = 16

_log = logging.getLogger("rivetless.hosts")


def find_secret(given: str | bytes | None, file: Path | None) -> bytes | None:
    """Return the deployment's secret: as given, from the environment, or from beside the store.

    Args:
        given: what the application passes.
        file: where processes that share the store look; made if it is not there.

    Returns:
        None if none of the three has one.

    Raises:
        ValueError: it is too short to be a secret.
    """
    text = given or os.environ.get(SECRET_VARIABLE)
    if text:
        secret = text.encode() if isinstance(text, str) else text
        if len(secret) < MIN_BYTES:
            raise ValueError(
                f"The secret has {len(secret)} bytes; give it {MIN_BYTES} or more. "
                f"`python -c 'import secrets; print(secrets.token_urlsafe())'` makes one."
            )
        return secret
    return None if file is None else read_or_make(file)


def read_or_make(file: Path) -> bytes:
    """Return the secret in a file that its owner alone can read; make it if there is none.

    However many processes do so at once, all get the same.
    """
    try:
        return _read(file)
    except FileNotFoundError:
        pass
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f"{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(secrets.token_urlsafe(32).encode())
        try:
            # A link is made whole or not at all, and never over another one.
            os.link(fresh, file)
        except FileExistsError:
            pass
        except OSError:
            # A file system without links: the last one wins, and the others read it below.
            fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)
    return _read(file)


def _read(file: Path) -> bytes:
    secret = file.read_bytes().strip()
    if len(secret) < MIN_BYTES:
        raise ValueError(f"{file} holds no secret. Delete it, and it will be made anew.")
    if os.name == "posix" and stat.S_IMODE(file.stat().st_mode) & 0o077:
        _log.warning("%s can be read by others; `chmod 600` it", file)
    return secret
