"""The key that marks a case as ordinary here, or takes that back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial

from probes.analysis.cases.joined import Case
from probes.analysis.cases.ordinary import OrdinaryEntry, entry_of
from tui.config import in_force, settings
from tui.screen.context import Actions
from tui.screen.key import PANE, Key
from tui.screen.menu import Choice, Menu
from tui.session.view import clock
from tui.table.fields import label

_HOUR = 3600.0


class OrdinaryActions(Actions):
    """Key for what is ordinary here: it is counted, and no longer wrong."""

    order = 75
    keys = (
        Key(
            "ordinary", "o", "o", "ask", "Ordinary",
            "mark the selected case as ordinary here: no longer an alarm", "View", 4, modes=PANE,
        ),
    )  # fmt: skip

    def offers(self, _action: str, /) -> bool:
        if self.screen.place.pane.case is None:
            return False
        return bool(self.screen.session.entries) or self._case() is not None

    def why_not(self, _action: str, /) -> str:
        return "select a case first; nothing is marked as ordinary yet"

    def ask(self) -> None:
        """Ask what is ordinary, and until when; what is already can be taken back."""
        choices = list(self._choices())
        if choices:
            self.screen.menu.open(Menu("Ordinary here", choices))
        else:
            self.screen.toast(
                "select a case first; nothing is marked as ordinary yet", "information"
            )

    def _case(self) -> Case | None:
        """Return the case of the selected row."""
        record, case_of = self.screen.record, self.screen.place.pane.case
        if record is None or case_of is None:
            return None
        return case_of(self.screen.session.view, record)

    def _choices(self) -> Iterator[Choice]:
        case = self._case()
        if case is not None:
            yield from self._of(case)
        yield from self._back()

    def _of(self, case: Case) -> Iterator[Choice]:
        """Return until when it may be ordinary, with those who take part in it, or of anyone."""
        entry = entry_of(case)
        anybody = [entry._replace(who=())] if entry.who else []
        for one in (entry, *anybody):
            said = f"{case.head.what}, {_by(one)}" if entry.who else case.head.what
            anyone = ", anyone" if entry.who and not one.who else ""
            for title, until in _untils():
                yield Choice(f"{title}{anyone}", partial(self._save, one, until), label(said))

    def _back(self) -> Iterator[Choice]:
        now = time.time()
        for entry in self.screen.session.entries:
            if entry.until is None or entry.until > now:
                end = f"until {_moment(entry.until)}" if entry.until is not None else "for good"
                said = f"{entry.what}, {_by(entry)}: ordinary {end}"
                yield Choice("take back", partial(self._take_back, entry), label(said))

    def _save(self, entry: OrdinaryEntry, until: Callable[[], float | None]) -> None:
        entry, file = entry._replace(until=until()), settings.path()
        kept = [e for e in self.screen.session.entries if e.what != entry.what]
        told = f"{entry.what} is ordinary now; {self.screen.keymap.shown('ordinary')} takes it back"
        write = partial(settings.save_ordinary, file, entry, time.time())
        self._write(write, (*kept, entry), told)

    def _take_back(self, entry: OrdinaryEntry) -> None:
        kept = tuple(e for e in self.screen.session.entries if e != entry)
        write = partial(in_force.forget_ordinary, entry.what)
        self._write(write, kept, f"{entry.what} is no longer ordinary")

    def _write(
        self, write: Callable[[], None], entries: tuple[OrdinaryEntry, ...], told: str
    ) -> None:
        try:
            write()
        except settings.SettingsError as wrong:
            self.screen.toast(str(wrong), "error")
            return
        self.screen.session.use_ordinary(entries)
        self.screen.forget_troubles()
        self.screen.toast(told, "information")
        self.screen.repaint()

    def commands(self) -> Iterator[Choice]:
        for choice in self._back():
            yield choice._replace(title="Ordinary: take back", section="settings")


def _by(entry: OrdinaryEntry) -> str:
    return f"by {', '.join(entry.who)}" if entry.who else "by anyone"


def _untils() -> Iterator[tuple[str, Callable[[], float | None]]]:
    yield "for 1 h", lambda: time.time() + _HOUR
    yield "today", _midnight
    yield "always", lambda: None


def _midnight() -> float:
    """Return the end of this day, local time."""
    return datetime.now().replace(hour=23, minute=59, second=59, microsecond=0).timestamp()


def _moment(wall: float) -> str:
    day = datetime.fromtimestamp(wall)
    return clock(wall) if day.date() == datetime.now().date() else f"{day:%Y-%m-%d} {clock(wall)}"
