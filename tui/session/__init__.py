"""What a screen shows: the collector of samples, views, histories. Knows no Textual widget.

Imports `table` and the packages before it.
"""
