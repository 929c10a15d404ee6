"""What users and authors of stores test with: the ``Rig``, a fake clock and the contract suites.

May import everything but ``cli``; nothing in the package imports it.
"""
