"""Many rows as columns: cells of one column, tables of rows, without a Python object for each.

Imports `model`, `arrays` and what is below them.
"""
