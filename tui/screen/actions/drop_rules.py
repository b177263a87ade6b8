"""Drop rules: top sources, the list of rules, and writing one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tui.screen.context import Actions
from tui.screen.key import NUMBERS, Key
from tui.screen.menu import Choice
from tui.screen.rules import index_of, write_rule
from tui.session.drop_rules import Offer
from tui.table.fields import label

_GROUP = "Drop rules"


class DropRuleActions(Actions):
    """Keys for top sources and drop rules."""

    order = 150
    keys = (
        Key(
            "sources", "t", "t", "sources", "Top sources", "show who sends what to the interface",
            _GROUP, 3, modes=NUMBERS,
        ),
        Key(
            "drop", "D,shift+d", "D", "drop", "Drop",
            "drop packets from this source or interface by a rule; asks first", _GROUP, 5,
            modes=NUMBERS,
        ),
        Key(
            "rules", "L,shift+l", "L", "rules", "", "list the drop rules; d ends one", _GROUP,
            modes=NUMBERS,
        ),
    )  # fmt: skip

    def offers(self, action: str, /) -> bool:
        place = self.screen.place
        if action == "sources":
            return place.pane.about is not None and "sources" in place.inner
        return action != "drop" or place.pane.offer is not None

    def why_not(self, action: str, /) -> str:
        if action == "sources":
            return "select an interface to see who sends to it"
        return "select an interface, a source or a drop reason"

    def sources(self) -> None:
        """Show who sends what to the interface of the row."""
        record, about = self.screen.record, self.screen.place.pane.about
        if record is not None and about is not None:
            self.screen.navigation.go_in("sources", about(record))

    def rules(self) -> None:
        """Show the list of rules."""
        if self.screen.place.pane.name != "rules":
            self.screen.navigation.go_in("rules")

    def drop(self) -> None:
        """Ask for a rule. Its subject is fixed when the key is pressed."""
        screen = self.screen
        if screen.time.refuses("dropped"):
            return
        record, offers = screen.record, screen.place.pane.offer
        offer = offers(record) if record is not None and offers is not None else None
        if offer is not None:
            if screen.place.mode == "pane":  # it stays on that row, also after the answer
                screen.table.select(screen.table.index)
            write_rule(screen, offer, index_of(screen, offer.interface))

    def commands(self) -> Iterator[Choice]:
        if self.screen.session.player is None:  # a recording has nothing to be done to
            for choice in self._by_name():
                yield choice._replace(section="rules")

    def _by_name(self) -> Iterator[Choice]:
        live, control = self.screen.session.live, self.screen.session.collector.control
        for e in (d.enforced for d in live.dropping):
            title = f"End the drop rule {e.interface}: {e.rule.what}"
            end = partial(control.remove_rule, e.interface, e.rule)
            yield Choice(title, lambda end=end: self.screen.carry_out(end()), "it stops dropping")  # type: ignore[misc]
        for row in live.rows("interfaces"):
            offer = Offer(str(row["interface"]))
            drop = partial(write_rule, self.screen, offer, row["ifindex"])
            yield Choice(f"Drop on {label(row['interface'])}...", drop, "a rule; asks first")
