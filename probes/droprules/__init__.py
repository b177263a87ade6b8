"""Drop rules at work: the programs that drop, their ladder, and whom they spare.

Imports `ladder`, `toolkit`, `kernel` and what stands before them.
"""
