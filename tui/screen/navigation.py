"""Moving from place to place: panes, details, what a record leads to, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tui.screen.leases import Leases
from tui.screen.place import Place
from tui.screen.renderer import Renderer
from tui.session.session import Session
from tui.table.fields import Field, TableRow
from tui.table.filters import parse_so_far
from tui.toolkit import related
from tui.toolkit.pane import Pane


class Navigation:
    """Moves the place, attaches what it needs, and lays it out.

    menu_left: called when something else is shown in the place of a menu.
    """

    def __init__(
        self,
        session: Session,
        place: Place,
        leases: Leases,
        renderer: Renderer,
        fields: Mapping[str, Sequence[Field]],
        menu_left: Callable[[], None],
    ) -> None:
        self._session, self._place, self._fields = session, place, fields
        self._leases, self._renderer, self._menu_left = leases, renderer, menu_left

    def show(self, mode: str) -> None:
        was = self._place.mode
        self._place.show(mode)
        if was == "menu" != mode:
            self._menu_left()
        self._renderer.lay_out()

    def go_to(self, pane: Pane, about: str = "") -> None:
        """Show a pane; close what was open, give back what was borrowed."""
        self._leases.give_back("detail", "pane")
        self._place.go(pane, about)
        if pane.while_shown is not None:
            # A frozen screen shows nothing of what begins now.
            self._session.look_at(self._session.live)
            self._leases.borrow("pane", pane.while_shown(about))
        self._session.be_about(about)
        self.show("pane")

    # Details

    def open(self, record: TableRow) -> None:
        """Show a record's detail."""
        self._place.open(record)
        if self._place.pane.while_open is not None:
            self._leases.borrow("detail", self._place.pane.while_open(record))
        self.show("detail")
        self._renderer.paint_detail(anew=True)

    def close(self) -> None:
        """Show the pane again, without what lay over it; or the detail that the help lay over."""
        opened = self._place.opened
        if self._place.mode == "help" and opened is not None:
            self.open(opened)
            return
        self._leases.give_back("detail")
        self._place.open(None)
        self.show("pane")

    def show_help(self) -> None:
        self.show("help")

    # Inner panes

    def go_in(self, name: str, about: str = "") -> None:
        """Show an inner pane over the tab's, whose open detail stays open below it."""
        self._leases.give_back("detail")
        self._place.remember_opened()
        self.go_to(self._place.inner[name], about)
        self._renderer.table.follow()

    def leave_inner(self) -> None:
        record = self._place.take_below()
        self.go_to(self._place.tab)
        if record is not None:
            self.open(record)

    # What a record leads to

    def follow_lead(self, lead: tuple[str, Sequence[object]] | None) -> None:
        """Go to the pane and row that a record is about; Esc leads back."""
        found = self._place.named(lead[0]) if lead is not None else None
        if lead is None or found is None:
            return
        came = self._place.pane
        self.go_to(found)
        self._place.set_filter("")
        self._place.lead_from(came)
        table = self._renderer.table
        table.filter(None)
        if lead[1]:
            view = self._session.view
            table.show(found.records(view))
            table.select_key(*(found.shows(view, key) for key in lead[1]))

    # Hosts

    def show_host(self, place: int) -> None:
        """Show another host. place: from 0."""
        self._leases.give_back("detail", "pane")  # it was attached for this screen alone
        self._session.show(place)
        self._session.note()
        self.go_to(self._place.tab)
        self._renderer.table.follow()

    # Rows

    def altnames(self) -> Mapping[str, str]:
        """Return the interfaces' alternative names, for filters, with the name of each."""
        return self._session.view.once(related.altnames)

    def set_filter(self, text: str) -> None:
        """Filter the pane's rows; ignore an incomplete condition."""
        self._place.set_filter(text)
        table = self._renderer.table
        fields = self._fields[self._place.pane.name]
        table.filter(parse_so_far(text, fields, self.altnames))
        table.sort_rows()
        self._renderer.lay_out()
