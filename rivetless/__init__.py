"""Rivet Actors for Python, serverless-first.

The package root is the public face: it re-exports what a user writes with and imports neither Starlette nor boto3.
"""

__version__ = "0.1.0"

__all__ = [
    "__version__",
]
