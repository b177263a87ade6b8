"""Pane: interfaces. Who drops packets, and the path of packets."""
