"""Metrics for Prometheus: families made from columns, monotonic totals, an HTTP server.

Imports nothing else of `tui`.
"""
