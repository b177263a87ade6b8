"""Other people's XDP and TC programs, followed: verdicts counted at their exit, or around them.

Imports `toolkit`, `attach`, `kernel` and the packages before them.
"""
