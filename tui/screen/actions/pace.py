"""The interval of reading, or the speed of playing a recording or the tour."""

from __future__ import annotations

from tui.screen.context import Actions
from tui.screen.key import Key

INTERVALS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""The intervals to choose from, in seconds."""


class PaceActions(Actions):
    """Keys for the interval."""

    order = 100
    keys = (
        Key(
            "slower", "plus", "+", "step", "",
            "lengthen the interval; in a recording or the tour: faster", "View", given=1,
        ),
        Key(
            "faster", "minus", "-", "step", "",
            "shorten the interval; in a recording or the tour: slower", "View", given=-1,
        ),
    )  # fmt: skip

    def step(self, step: int) -> None:
        """Take the next longer interval, or a shorter one if negative."""
        source = self.screen.session.source
        if self.screen.time.change_speed(step):
            return
        steps = [i for i in INTERVALS if (i > source.interval if step > 0 else i < source.interval)]
        if steps:
            self.screen.session.use_interval(steps[0] if step > 0 else steps[-1])
            self.screen.repaint()
