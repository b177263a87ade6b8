"""Whether what somebody is about to answer stands on the terminal."""

from __future__ import annotations


class Shown:
    """A question that somebody is about to answer, and whether it stands on the terminal.

    A terminal that answers (`WHERE`) says when it has drawn it, in order with what is typed; of
    another it is known when it was given it.
    """

    ANSWER = 2.0
    """Seconds after which a terminal is taken for having drawn it, although it does not say so."""

    def __init__(self) -> None:
        self.drawn = False
        self._given: float | None = None

    def given(self, when: float) -> None:
        self._given = when

    def was_drawn(self) -> None:
        """Take note that the terminal has drawn it."""
        self.drawn = True

    def before(self, typed: float, *, answers: bool) -> bool:
        """Return whether it stood there when something was typed. answers: the terminal does."""
        if self.drawn or self._given is None:
            return self.drawn
        return typed > self._given + (self.ANSWER if answers else 0.0)

    @property
    def known(self) -> bool:
        """It is known when the terminal was given it, or that it has drawn it."""
        return self.drawn or self._given is not None
