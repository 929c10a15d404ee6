"""The simulator: one seed is one schedule of processes, faults, timers and calls.

May import whatever ``rivetless.testing`` may; nothing in the package imports it.
"""
