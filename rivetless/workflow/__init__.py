"""Durable workflows: functions that go on where they were, in any process, after any time.

The engine knows neither the runtime nor a store: it speaks to a ``Port``. May import ``store``,
``protocol``, ``actor`` and below.
"""
