"""``Settings``: what the environment of a function says, read once and under one name each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field
from typing import Self

from rivetless.frozen import frozen
from rivetless.hosts.secrets import SECRET_VARIABLE

__all__ = ["Settings"]


@frozen(kw_only=True)
class Settings:
    """Where a function finds what it works with. ``template.yaml`` sets these variables.

    Attributes:
        store: ``RIVETLESS_STORE``, the store's URL.
        wake_queue_url: ``RIVETLESS_WAKE_QUEUE_URL``, the standard queue that wakes go through.
        frames_queue_url: ``RIVETLESS_FRAMES_QUEUE_URL``, the FIFO queue of what happens on sockets;
            without it the other queue is used, and frames have no order.
        sockets_endpoint: ``RIVETLESS_SOCKETS_ENDPOINT``, the WebSocket API's management endpoint.
        public_endpoint: ``RIVETLESS_PUBLIC_ENDPOINT``, what ``/metadata`` tells clients.
        admin_token: ``RIVETLESS_ADMIN_TOKEN``.
        secret: ``RIVETLESS_SECRET``.
        log_level: ``RIVETLESS_LOG_LEVEL``.
        region: ``AWS_REGION``, what ``self.region`` says in actors.
        expose_errors: ``RIVET_EXPOSE_ERRORS``, whether clients see internal errors.
        environ: all of the environment, for what reads its own part of it.
    """

    store: str | None = None
    wake_queue_url: str | None = None
    frames_queue_url: str | None = None
    sockets_endpoint: str | None = None
    public_endpoint: str | None = None
    admin_token: str | None = None
    secret: str | None = None
    log_level: str = "INFO"
    region: str = "local"
    expose_errors: bool = False
    environ: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the environment. A variable that is empty counts as one that is not there."""
        found = os.environ if environ is None else environ
        return cls(
            store=found.get("RIVETLESS_STORE") or None,
            wake_queue_url=found.get("RIVETLESS_WAKE_QUEUE_URL") or None,
            frames_queue_url=found.get("RIVETLESS_FRAMES_QUEUE_URL") or None,
            sockets_endpoint=found.get("RIVETLESS_SOCKETS_ENDPOINT") or None,
            public_endpoint=found.get("RIVETLESS_PUBLIC_ENDPOINT") or None,
            admin_token=found.get("RIVETLESS_ADMIN_TOKEN") or None,
            secret=found.get(SECRET_VARIABLE) or None,
            log_level=found.get("RIVETLESS_LOG_LEVEL") or "INFO",
            region=found.get("AWS_REGION") or found.get("AWS_DEFAULT_REGION") or "local",
            expose_errors=found.get("RIVET_EXPOSE_ERRORS") == "1",
            environ=found,
        )

    def __repr__(self) -> str:
        # What is secret is in no log, however somebody prints this.
        return f"Settings(store={self.store!r}, public_endpoint={self.public_endpoint!r})"
