"""What lies over a pane and what is dropped by a rule: top sources, rules, and their keys."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from typing import Any

from probes.drop_rule import Rule, parse
from probes.model import HookId, State
from tui.panes.interfaces.droppers import program
from tui.screen.renderer import Painting
from tui.session.drop_rules import ANYWHERE, Offer, confirmation, reading
from tui.table.fields import Record, label
from tui.toolkit.pane import Pane
from tui.widgets.prompt import Question
from tui.widgets.prompt import sentence as sentence_of

PATIENCE = 10.0
"""Seconds for which what a pane wants stays attached at least."""
_YES = {"y": "yes", "Y": "yes", "n": "no", "N": "no", "enter": "no"}


class Ruling(Painting):
    """The keys of inner panes and of drop rules."""

    def rules_offer(self, action: str) -> bool:
        """Whether the row is one that such a key is for; other keys always are."""
        if action == "sources":
            return self._pane.about is not None and "sources" in self.inner
        return action != "drop" or self._pane.offer is not None

    # Inner panes

    def action_sources(self) -> None:
        record, about = self._record(), self._pane.about
        if record is not None and about is not None:
            self._go_in("sources", about(record))

    def action_rules(self) -> None:
        if self._pane.name != "rules":
            self._go_in("rules")

    def _go_in(self, name: str, about: str = "") -> None:
        """Over the tab's pane; its detail is still open below, if it was."""
        self._give_back("detail")
        self._below = None if self._pane.inner else self._opened
        tab = self._tab
        self._go_to(self.inner[name], about)
        self._tab = tab
        self.table.follow()

    def leave_inner(self) -> None:
        record, self._below = self._below, None
        self._go_to(self._tab)
        if record is not None:
            self._opened = record
            if self._pane.while_open is not None:
                self._borrow("detail", self._pane.while_open(record))
            self._show("detail")
            self._paint_detail(anew=True)

    def follow_lead(self, lead: tuple[str, object] | None) -> None:
        """To the pane and the row that a record is about; Esc leads back."""
        found = next((p for p in self.panes if lead is not None and p.name == lead[0]), None)
        if lead is None or found is None:
            return
        came = self._pane
        self._filter_text.pop(found.name, None)
        self._go_to(found)
        self._came, self.table.keep = came, None
        if lead[1] is not None:
            self.table.show(found.records(self.view))
            self.table.select_key(lead[1])

    def _go_to(self, pane: Pane, about: str = "") -> None:
        self._came = None
        self._give_back("detail")
        self._give_back("pane")
        self._opened = None
        self._pane, self._about = pane, about
        if not pane.inner:
            self._tab, self._below = pane, None
        if pane.while_shown is not None:
            self.view = self.live  # a screen that stands still has nothing of what begins now
            self._borrow("pane", pane.while_shown(about))
        self.view.about = about
        self._show("pane")

    _below: Record | None = None
    _came: Pane | None = None

    def _record(self) -> Record | None:
        return self._opened if self._mode == "detail" else self.table.record

    # What is attached while something is looked at

    def _borrow(self, why: str, id: HookId) -> None:
        """Attach what is needed; it goes when that is left, unless it stood before. Not for the
        past: nothing of it would be seen there."""
        if self.live.snapshots.get(id) is None and not self.frozen:
            self._borrowed[why] = id
            self.start(self._hold(why, id))

    async def _hold(self, why: str, id: HookId) -> None:
        stands = await self.collector.control.attach(id, quiet=True)
        if stands and self._borrowed.get(why) != id:  # it was left meanwhile
            await self.collector.control.detach(id, quiet=True)
        self._after_control()

    def _give_back(self, why: str) -> None:
        id = self._borrowed.pop(why, None)
        if id is not None and self.live.status(id).state is not State.ATTACHING:
            self.start(self._then_paint(self.collector.control.detach(id, quiet=True)))

    def tend(self) -> None:
        """Attach what the pane wants just now, and let go of what it wanted: not too often."""
        live = self._mode == "pane" and not self.frozen and self._pane.wants is not None
        if not live or time.monotonic() - self._wanted < PATIENCE:
            return
        want = self._pane.wants(self.live) if self._pane.wants is not None else None
        if want != self._borrowed.get("pane"):
            self._wanted = time.monotonic()
            self._give_back("pane")
            if want is not None:
                self._borrow("pane", want)

    _wanted = 0.0

    async def _then_paint(self, work: Coroutine[Any, Any, Any]) -> None:
        """What it fails with is said: it may be of what somebody has typed."""
        try:
            await work
        except Exception as error:
            self._tell(sentence_of(error), "error")
        self._after_control()

    def _after_control(self) -> None:
        self.collector.note_statuses()
        self.collector.note_rules()
        self._troubles.clear()
        self.paint()

    # Drop rules: what a prompt is about is fixed when the key is pressed

    def action_drop(self) -> None:
        record, offers = self._record(), self._pane.offer
        offer = offers(record) if record is not None and offers is not None else None
        if offer is not None:
            if self._mode == "pane":
                self.table.select(self.table.index)  # it stays on that row, also after the answer
            self._write_rule(offer, self._ifindex(offer.interface))

    def _write_rule(self, offer: Offer, ifindex: object) -> None:
        interface, texts = offer.interface, offer.texts or ("",)
        where = self._where(interface)

        def answered(text: str | None) -> None:
            if text:
                self._sure_of(parse(text), interface, ifindex)

        more = " (Up: wider)" if len(texts) > 1 else ""
        self.prompt.ask(
            Question(
                label(f"Drop on {interface}{more}:"),
                answered,
                answer=texts[0],
                past=texts[1:],
                note=lambda text: reading(text, interface, where) if text else _HOW,
            )
        )

    def _sure_of(self, rule: Rule, interface: str, ifindex: object) -> None:
        def answered(answer: str | None) -> None:
            if answer != "yes":
                return
            if self._ifindex(interface) != ifindex:
                self._tell(f"{interface} is another interface by now: nothing is dropped", "error")
                return
            self.start(self._then_paint(self.collector.control.add_rule(interface, rule)))

        where = self._where(interface)
        no = {key: answer for key, answer in _YES.items() if answer == "no"}
        first = Question(confirmation(rule, interface, where, None), answered, choices=no)

        async def complete() -> None:
            """Nobody can say yes before all has been said that they should know."""
            cautions = await self.collector.control.cautions(interface, rule)
            if self.prompt.question is first:
                text = confirmation(rule, interface, where, cautions)
                self.prompt.ask(Question(text, answered, choices=_YES))

        self.prompt.ask(first)
        self.start(complete())

    def end_rule(self) -> None:
        """The selected one: by what it is, wherever its row is by now."""
        record = self._record()
        found = [d for d in self.live.dropping if record is not None and d.id == record.key]
        for d in found:
            e = d.enforced
            work = self.collector.control.remove_rule(e.interface, e.rule)
            self.start(self._then_paint(work))
        if found and self._mode == "detail":
            self._opened = None
            self._show("pane")

    def _where(self, interface: str) -> str:
        """Where a rule will stand: with those that are there, else as far as can be foreseen."""
        rules = [d.enforced for d in self.live.dropping if d.enforced.interface == interface]
        rung = next((e.rung for e in rules if e.rung), None)
        if rung is not None:
            return f"on {rung}"
        rows = self.live.rows("xdp-programs")
        taken = next((program(r) for r in rows if r["interface"] == interface), None)
        return f"at TC ingress (XDP is {taken}'s)" if taken else ANYWHERE

    def _ifindex(self, interface: str) -> object:
        """The number that stays when an interface is renamed; None where there is none."""
        rows = self.live.rows("interfaces")
        return next((r["ifindex"] for r in rows if r["interface"] == interface), None)


_HOW = ("such as: src 192.0.2.0/24 ttl 10m; proto icmp; udp dport 53 src 192.0.2.7", "muted")
