"""Actors in AWS Lambda functions: one handler for every event source.

May import ``gateway`` and what is below it, and ``aws``. Nothing of Starlette or Mangum is loaded
before the first HTTP event, and no SDK of AWS at all.
"""

from rivetless.hosts.aws_lambda.events import LambdaContext, LambdaEvent
from rivetless.hosts.aws_lambda.handler import LambdaHost, aws_lambda
from rivetless.hosts.aws_lambda.invocation import Invocation

__all__ = ["Invocation", "LambdaContext", "LambdaEvent", "LambdaHost", "aws_lambda"]
