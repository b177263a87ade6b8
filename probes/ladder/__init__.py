"""The ladder of rungs: `Attachment` climbs a hook's ladder, reads, and releases.

Imports `attach`, `compile`, `kernel`, `model` and the packages below them.
"""
