"""Capabilities of this host: each hook, each rung, each program type.

Imports `ladder`, `compile` and the packages before them.
"""
