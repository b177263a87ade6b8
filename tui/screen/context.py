"""What actions may touch, and what a group of keys is."""

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
    from tui.session.control import Severity
    from tui.session.session import Session
    from tui.table.fields import Field, Record
    from tui.table.lines import Line
    from tui.toolkit.pane import Pane
    from tui.widgets.live_table import LiveTable
    from tui.widgets.prompt import Prompt
    from tui.widgets.report import Report


class Context(Protocol):
    """All that an action may touch.

    session: hosts, collector, the live view, the view that is looked at. place: pane, mode, the
    opened record; navigation goes elsewhere. time: live or recorded. fields: columns by pane.
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
        """What the arrows move."""

    @property
    def record(self) -> Record | None:
        """The opened record, or else the selected one."""

    @property
    def tables(self) -> Sequence[LiveTable]: ...

    def table_of(self, pane: Pane) -> LiveTable: ...

    def repaint(self) -> None: ...

    def repaint_soon(self) -> None: ...

    def lay_out(self) -> None: ...

    def row_selected(self) -> None:
        """Repaint what stands beside the table."""

    def drawing(self) -> AbstractContextManager[None]:
        """Have what is repainted meanwhile on the terminal at the end of it."""

    # Doing

    def toast(self, text: str, severity: Severity) -> None: ...

    def go_to(self, pane: Pane, about: str = "") -> None: ...

    def do(self, id: str, /) -> None:
        """Do what a key does, at once. id: the key's."""

    def offered(self, key: Key) -> bool:
        """Return whether a key does something here."""

    def commands(self) -> Iterator[Choice]:
        """Return what all groups give the palette."""

    def start(self, work: Coroutine[Any, Any, None], /) -> None: ...

    def carry_out(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do what was asked for; report a failure."""

    def control_changed(self) -> None:
        """Show what was attached, detached, or ruled."""

    def control_changes_soon(self) -> None:
        """Show it once what was just begun is under way."""

    def forget_troubles(self) -> None:
        """Ask the panes again what is wrong."""

    # The terminal

    def leave(self, status: int, /) -> None: ...

    def redraw(self) -> None: ...

    def to_shell(self) -> None: ...

    def write(self, sequence: str, /) -> None: ...

    def picture(self) -> str:
        """Return the screen as SVG."""


class Actions:
    """A group of keys: where they do something, and what.

    `keys` names methods of the group. order: its place among the groups, in the help, the palette
    and the key table. What else it adds to the screen is below; nothing, if it does not say.
    """

    keys: ClassVar[tuple[Key, ...]] = ()
    order: ClassVar[int] = 1000

    def __init__(self, screen: Context) -> None:
        self.screen = screen

    def begin(self) -> None:
        """Start what goes on while the screen is there."""

    def offers(self, _action: str, /) -> bool:
        """Return whether the action does something on this pane, with this source."""
        return True

    def host_lines(self) -> Sequence[Line]:
        """Return lines that say whose numbers these are."""
        return ()

    def time_lines(self) -> Sequence[Line]:
        """Return lines that say of what moment these are."""
        return ()

    def verdict(self) -> Line | None:
        """Return what is worse than anything in the pane."""
        return None

    def note(self) -> str:
        """Return what is said at the end of the tabs' line, in the colour of what is wrong."""
        return ""

    def footer(self) -> Line | None:
        """Return what stands instead of the keys at the bottom."""
        return None

    def commands(self) -> Iterator[Choice]:
        """Return what it gives the palette beside its keys."""
        return iter(())

    def key_pressed(self, key: str, when: float) -> None:
        """Take note of a key before anything is done about it. when: monotonic seconds."""

    def selection_changed(self) -> None:
        """Take note that somebody selected another row."""
