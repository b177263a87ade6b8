"""Drop rules at work: the programs that drop, their ladder, and which connections they spare.

Imports `ladder`, `toolkit`, `kernel` and the packages before them.
"""
