"""Pane: connects. Who connects where, by destination, and how that fails."""
