"""The wire: what clients and servers say to each other, as pure functions and frozen values.

May import ``errors`` and ``keys`` only; does no I/O and knows neither Starlette nor any store.
"""
