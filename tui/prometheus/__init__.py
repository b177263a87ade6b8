"""Metrics for Prometheus: families by the columns, totals that only grow, an HTTP server.

Imports nothing else of `tui`.
"""
