"""What the processes of ``LambdaLab`` run: the application, as a handler.

Beside the lab and not in it: a cold start should not import the lab.
"""

from __future__ import annotations

import os
from typing import Any

from rivetless.cli.loading import load
from rivetless.registry import Registry

__all__ = ["handler"]


def _handler() -> Any:
    app = load(os.environ["LAMBDA_LAB_APP"])
    if not isinstance(app, Registry):
        return app
    from rivetless.hosts.aws_lambda import aws_lambda

    return aws_lambda(app)


handler = _handler()
