"""Checks that a question was on the terminal when it was answered."""

from __future__ import annotations


class Shown:
    """A question, and whether it is on the terminal.

    A terminal that answers (`WHERE`) reports when it has drawn it, in order with what is typed; for
    another only the time is known when the question was sent.
    """

    ANSWER = 2.0
    """Seconds after which a terminal counts as having drawn it, although it has not said so."""

    def __init__(self) -> None:
        self.drawn = False
        self._given: float | None = None

    def given(self, when: float) -> None:
        self._given = when

    def was_drawn(self) -> None:
        """Take note that the terminal has drawn it."""
        self.drawn = True

    def before(self, typed: float, *, answers: bool) -> bool:
        """Return whether it was there when something was typed. answers: the terminal does."""
        if self.drawn or self._given is None:
            return self.drawn
        return typed > self._given + (self.ANSWER if answers else 0.0)

    @property
    def known(self) -> bool:
        """Whether it was sent to the terminal, or drawn."""
        return self.drawn or self._given is not None
