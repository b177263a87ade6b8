"""Debian's kernels in guests: fetched, booted, their tests run, what they said reported."""
