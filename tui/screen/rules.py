"""Writing and ending drop rules: confirmed, and bound to what was on the screen."""

from __future__ import annotations

from probes.analysis.droppers import program
from probes.drop_rule import DropRule, parse
from tui.screen.context import Context
from tui.session.drop_rules import ANYWHERE, Offer, confirmation, reading
from tui.table.fields import TableRow, label
from tui.widgets.prompt import Question

_YES = {"y": "yes", "Y": "yes", "n": "no", "N": "no", "enter": "no"}
_NO = {key: answer for key, answer in _YES.items() if answer == "no"}
_HOW = ("such as: src 192.0.2.0/24 ttl 10m; proto icmp; udp dport 53 src 192.0.2.7", "muted")


def write_rule(screen: Context, offer: Offer, ifindex: object) -> None:
    """Ask for a rule on an interface, beginning with what is offered.

    ifindex: the interface's number when the key was pressed.
    """
    interface, texts = offer.interface, offer.texts or ("",)
    where = _where(screen, interface)

    def answered(text: str | None) -> None:
        if text:
            _confirm(screen, parse(text), interface, ifindex)

    more = " (Up: wider)" if len(texts) > 1 else ""
    screen.prompt.ask(
        Question(
            label(f"Drop on {interface}{more}:"),
            answered,
            answer=texts[0],
            past=texts[1:],
            note=lambda text: reading(text, interface, where) if text else _HOW,
        )
    )


def _confirm(screen: Context, rule: DropRule, interface: str, ifindex: object) -> None:
    """Ask for confirmation; yes counts only once all warnings have been shown."""
    control = screen.session.collector.control

    def answered(answer: str | None) -> None:
        if answer != "yes":
            return
        if index_of(screen, interface) != ifindex:
            text = f"{interface} was replaced by another interface; rule not added"
            screen.toast(text, "error")
            return
        screen.carry_out(control.add_rule(interface, rule))

    where = _where(screen, interface)
    first = Question(confirmation(rule, interface, where, None), answered, choices=_NO)

    async def complete() -> None:
        cautions = await control.cautions(interface, rule)
        if screen.prompt.question is first:
            text = confirmation(rule, interface, where, cautions)
            screen.prompt.ask(Question(text, answered, choices=_YES))

    screen.prompt.ask(first)
    screen.carry_out(complete())


def end_rule(screen: Context, record: TableRow) -> None:
    """End the rule of a record, by its identity, wherever its row is by now."""
    found = [d.enforced for d in screen.session.live.dropping if d.id == record.key]
    for e in found:
        screen.carry_out(screen.session.collector.control.remove_rule(e.interface, e.rule))
    if found and screen.place.mode == "detail":
        screen.navigation.close()


def _where(screen: Context, interface: str) -> str:
    """Say at which point a rule will be attached: as existing ones are, else the likeliest."""
    live = screen.session.live
    rules = [d.enforced for d in live.dropping if d.enforced.interface == interface]
    rung = next((e.rung for e in rules if e.rung), None)
    if rung is not None:
        return f"on {rung}"
    rows = live.rows("xdp-programs")
    taken = next((program(r) for r in rows if r["interface"] == interface), None)
    return f"at TC ingress (XDP is {taken}'s)" if taken else ANYWHERE


def index_of(screen: Context, interface: str) -> object:
    """Return the interface's number, which survives renaming; None if there is none."""
    rows = screen.session.live.rows("interfaces")
    return next((r["ifindex"] for r in rows if r["interface"] == interface), None)
