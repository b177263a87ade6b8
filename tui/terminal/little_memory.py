"""Lack of memory: what it breaks ends the program in order, and nothing waits for ever.

Code that expects it reports a refusal and tries again. Elsewhere, in an event loop or in a thread's
own machinery, something has been lost that somebody may wait for.
"""

from __future__ import annotations

import sys

from tui.terminal import leaving

SENTENCE = "there is not enough memory to continue"


def unraisable(lost: sys.UnraisableHookArgs) -> None:
    """End the program on lack of memory; for sys.unraisablehook.

    Other errors end nothing, and nobody can handle them there.
    """
    if isinstance(lost.exc_value, MemoryError) or lost.exc_type is MemoryError:
        leaving.give_up(SENTENCE)
