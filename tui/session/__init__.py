"""What a screen shows: the collector of samples, views, control. Knows no Textual widget.

Imports `table` and the packages before it.
"""
