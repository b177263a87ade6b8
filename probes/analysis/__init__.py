"""Pure analysis: samples in, answers out; the same for the screen, JSON, export and recordings.

Imports `model` and the packages below it; never the kernel side.
"""
