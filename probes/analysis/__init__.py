"""Pure: samples in, answers out; the same for the screen, JSON, export and recordings.

Imports `model` and what stands before it; never the kernel side.
"""
