"""Widgets, one a file. All are drawn from lines of spans and repaint only changed cells."""
