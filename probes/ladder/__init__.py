"""Which rung stands: `Attachment` climbs a hook's ladder, reads, and lets go.

Imports `attach`, `compile`, `kernel`, `model` and what stands before them.
"""
