"""What a screen looks at: the collector of samples, views, histories. Knows no Textual widget.

Imports `table` and what stands before it.
"""
