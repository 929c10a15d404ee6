"""What lasts: the ``Store`` protocol and the stores that ship with rivetless.

May import ``keys``, ``errors`` and ``clock``; knows nothing of actors' classes, turns or the wire.
"""
