"""Pane: interfaces. Who drops, and the way of packets."""
