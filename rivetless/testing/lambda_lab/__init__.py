"""A local AWS for Lambda: real processes under the real Runtime API, behind a front of our own.

May import everything below; is loaded by users' tests and by ``rivetless dev --aws``.
"""

from rivetless.testing.lambda_lab.failures import Unreliable
from rivetless.testing.lambda_lab.lab import LambdaLab
from rivetless.testing.lambda_lab.runtime_api import Outcome

__all__ = ["LambdaLab", "Outcome", "Unreliable"]
