"""Moments as bytes: the tape in memory, the file on disk, and the way back from both.

Imports `analysis`, `model`, `source` and the packages below them; never the kernel side.
"""
