"""The interface between actions and the screen, and the base class of groups of keys."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from tui.screen.key import Key

if TYPE_CHECKING:
    from textual.geometry import Size

    from tui.config.settings import Settings
    from tui.screen.appearance import Appearance
    from tui.screen.help import HelpMode
    from tui.screen.keymap import Keymap
    from tui.screen.menu import Choice, MenuMode
    from tui.screen.navigation import Navigation
    from tui.screen.place import Place
    from tui.screen.time_control import TimeControl
    from tui.screen.tour import Tour
    from tui.session.control import Severity
    from tui.session.session import Session
    from tui.table.fields import Field, TableRow
    from tui.table.lines import Line
    from tui.toolkit.pane import Pane
    from tui.widgets.live_table import LiveTable
    from tui.widgets.prompt import Prompt
    from tui.widgets.report import Report


class Context(Protocol):
    """The parts of the screen that an action may touch.

    session: hosts, collector, the live view, the view on the screen. place: pane, mode, the opened
    record; navigation changes it. time: live or recorded. fields: columns by pane. tour: the
    demo's, if it is on.
    """

    session: Session
    place: Place
    navigation: Navigation
    time: TimeControl
    menu: MenuMode
    help: HelpMode
    appearance: Appearance
    keymap: Keymap
    settled: Settings
    fields: Mapping[str, Sequence[Field]]
    tour: Tour | None

    # What is on the screen

    @property
    def size(self) -> Size: ...

    @property
    def prompt(self) -> Prompt: ...

    @property
    def report(self) -> Report: ...

    @property
    def table(self) -> LiveTable:
        """The table of the pane, or the menu above it."""

    @property
    def mover(self) -> LiveTable | Report:
        """The widget that the arrow keys move."""

    @property
    def record(self) -> TableRow | None:
        """The opened record, or else the selected one."""

    @property
    def tables(self) -> Sequence[LiveTable]: ...

    def table_of(self, pane: Pane) -> LiveTable: ...

    def repaint(self) -> None: ...

    def repaint_soon(self) -> None: ...

    def lay_out(self) -> None: ...

    def row_selected(self) -> None:
        """Repaint what depends on the selected row."""

    def drawing(self) -> AbstractContextManager[None]:
        """Send what is repainted meanwhile to the terminal at the end of the block."""

    # Doing

    def toast(self, text: str, severity: Severity) -> None: ...

    def hint(self, text: str) -> None:
        """Show a sentence in the place of the keys for two seconds."""

    def go_to(self, pane: Pane, about: str = "") -> None: ...

    def do(self, id: str, /) -> None:
        """Do what a key does, at once. id: the key's."""

    def offered(self, key: Key) -> bool:
        """Return whether a key does something here."""

    def commands(self) -> Iterator[Choice]:
        """Return the palette's commands of all groups."""

    def start(self, work: Coroutine[Any, Any, None], /) -> None: ...

    def carry_out(self, work: Coroutine[Any, Any, Any]) -> None:
        """Carry out a request; report a failure."""

    def control_changed(self) -> None:
        """Show what was attached, detached, or ruled."""

    def control_changes_soon(self) -> None:
        """Show it once what was just begun is under way."""

    def forget_troubles(self) -> None:
        """Ask the panes for their troubles again."""

    # The terminal

    def leave(self, status: int, /) -> None: ...

    def redraw(self) -> None: ...

    def to_shell(self) -> None: ...

    def write(self, sequence: str, /) -> None: ...

    def picture(self) -> str:
        """Return the screen as SVG."""


NO_ROW = "there is no row here"
"""Why keys that are about a row do nothing where there is none."""


class Actions:
    """A group of keys: where they work, and what they do.

    `keys` names methods of the group. order: its place among the groups, in the help, the palette
    and the key table. The other methods say what it adds to the screen; by default nothing.
    """

    keys: ClassVar[tuple[Key, ...]] = ()
    order: ClassVar[int] = 1000

    def __init__(self, screen: Context) -> None:
        self.screen = screen

    def begin(self) -> None:
        """Start what runs while the screen is there."""

    def offers(self, _action: str, /) -> bool:
        """Return whether the action works on this pane, with this source."""
        return True

    def why_not(self, _action: str, /) -> str:
        """Say why the action does not work here, for the user who pressed its key."""
        return ""

    def host_lines(self) -> Sequence[Line]:
        """Return lines that say whose numbers these are."""
        return ()

    def time_lines(self) -> Sequence[Line]:
        """Return lines that say from which moment these are."""
        return ()

    def verdict(self) -> Line | None:
        """Return what is worse than any trouble in the pane."""
        return None

    def note(self) -> str:
        """Return a note for the status line, in the colour of its urgency."""
        return ""

    def footer(self) -> Line | None:
        """Return what is at the bottom in place of the keys."""
        return None

    def commands(self) -> Iterator[Choice]:
        """Return commands for the palette beside its keys."""
        return iter(())

    def key_pressed(self, key: str, when: float) -> None:
        """Take note of a key before it is acted upon. when: monotonic seconds."""

    def selection_changed(self) -> None:
        """Take note that the user selected another row."""
