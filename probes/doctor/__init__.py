"""What this host allows: each hook, each rung, each program type.

Imports `ladder`, `compile` and what stands before them.
"""
