"""Rivet Actors for Python, serverless-first.

The root is the public face: it re-exports what a user writes with. It may import from every
package, as long as that loads neither Starlette nor boto3.
"""

__version__ = "0.1.0"

__all__ = [
    "__version__",
]
