"""What a user writes: the ``Actor`` class, its declarations, and the definition they compile to.

Does no I/O: everything an actor asks for goes to the ``Turn`` that runs it. May import ``errors``,
``keys``, ``serde`` and ``clock`` only.
"""
