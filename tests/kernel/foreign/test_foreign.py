"""Somebody else's programs: whatever we do beside them, they stay as they were and go on running.

What is foreign here is attached by another process and by the system's tools; what is compared is
what bpftool, tc and ip show of it, and what its programs have counted themselves.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from probes.hooks import catalogue
from probes.kernel import bpf, cgroups
from probes.ladder.attachment import Attachment, Modules
from probes.ladder.features import AnswerWord, answer
from probes.model import State, Status
from tests.support.commands import ebpftop, held, left_of, running
from tests.support.events import server, talk
from tests.support.foreign import (
    OURS,
    Somebody,
    confined,
    listing,
    own_cgroup,
    plain_filter,
    send_both,
    somebody,
    tap,
)
from tests.support.namespaces import namespace, run, veth

pytestmark = pytest.mark.kernel

SHORTS, LONGS, CONNECTS = 5, 3, 4
DIRECTIONS = ("ingress", "egress")


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Somebody]:
    with somebody(tmp_path) as process:
        yield process


@dataclass(frozen=True, slots=True)
class Scene:
    """An interface with foreign programs on it.

    hooks: ours that want to be there. programs: id -> (direction, whether it gets LONG frames).
    holder: how a refusal names the program that has the seat, "" where there is room for ours.
    """

    device: str
    peer: str
    index: int
    hooks: tuple[str, ...]
    programs: dict[int, tuple[str, bool]]
    holder: str = ""


Builder = Callable[[Somebody, str, str], Scene]


def _xdp(mode: str, how: str) -> Builder:
    def build(other: Somebody, device: str, peer: str) -> Scene:
        index, _ = veth(device, peer)
        if how == "link":
            program = other.xdp_by_link(index, mode)
        else:
            program = other.xdp_by_netlink(device, mode)
        holder = f"the XDP program acme_xdp#{program} ({mode})"
        return Scene(device, peer, index, ("xdp",), {program: ("ingress", True)}, holder)

    return build


def _tcx_chain(other: Somebody, device: str, peer: str) -> Scene:
    """Two on each side; the second gets what the first lets go on."""
    index, _ = veth(device, peer)
    programs = {
        other.tcx(index, direction, name): (direction, name == "acme_first")
        for direction in DIRECTIONS
        for name in ("acme_first", "acme_second")
    }
    return Scene(device, peer, index, ("tc-ingress", "tc-egress"), programs)


def _clsact(other: Somebody, device: str, peer: str) -> Scene:
    """Two filters with programs on each side, and a plain one behind them."""
    index, _ = veth(device, peer)
    run("tc", "qdisc", "add", "dev", device, "clsact")
    programs = {}
    for direction in DIRECTIONS:
        for priority in (40, 50):
            program = other.filter(device, direction, priority)
            programs[program] = (direction, priority == 40)
        plain_filter(device, direction, 60)
    return Scene(device, peer, index, ("tc-ingress", "tc-egress"), programs)


def _ingress_qdisc(other: Somebody, device: str, peer: str) -> Scene:
    index, _ = veth(device, peer)
    run("tc", "qdisc", "add", "dev", device, "ingress")
    program = other.filter(device, "ingress", 3)
    return Scene(device, peer, index, ("tc-ingress", "tc-egress"), {program: ("ingress", True)})


BUILDERS: dict[str, Builder] = {
    "xdp-native-netlink": _xdp("native", "netlink"),
    "xdp-native-link": _xdp("native", "link"),
    "xdp-generic-netlink": _xdp("generic", "netlink"),
    "xdp-generic-link": _xdp("generic", "link"),
    "tcx-chain": _tcx_chain,
    "clsact": _clsact,
    "ingress-qdisc": _ingress_qdisc,
}


def _has_tcx() -> bool:
    rung = catalogue()["tc-ingress"].rung("tcx")
    assert rung is not None
    return answer(rung).word is AnswerWord.YES


# -- what goes through, and what has seen it -------------------------------------------------


def _traffic(other: Somebody, scene: Scene) -> None:
    """Frames both ways: each foreign program counts just its own, and its verdict holds."""
    expected = {
        program: other.seen(program) + SHORTS + (LONGS if all_of_them else 0)
        for program, (_, all_of_them) in scene.programs.items()
    }
    dropped = any(d == "egress" for d, _ in scene.programs.values())
    with tap(scene.device) as came_in, tap(scene.peer) as went_out:
        send_both(scene.peer, SHORTS, LONGS)
        send_both(scene.device, SHORTS, LONGS)
        out = SHORTS + (0 if dropped else LONGS)
        assert (came_in(SHORTS), went_out(out)) == (SHORTS, out)
    assert {program: other.seen(program) for program in expected} == expected


def _connections(other: Somebody, *programs: int) -> None:
    """Its programs count each of them, and that they ask for ECN is heard."""
    expected = [other.seen(program) + CONNECTS for program in programs]
    assert other.ask("connect", CONNECTS) == [True] * CONNECTS
    assert [other.seen(program) for program in programs] == expected


def _view(scenes: Iterable[Scene], more: Iterable[int] = (), cgroup: Path | None = None) -> Any:
    scenes = list(scenes)
    programs = [*(id for scene in scenes for id in scene.programs), *more]
    return listing([scene.device for scene in scenes], programs, cgroup)


def _others_of(view: dict[str, Any]) -> dict[str, Any]:
    """The view without what is ours: filters by their names, qdiscs where only ours are."""
    kept = dict(view)
    for name, shown in view.items():
        if name.partition(" ")[0] in DIRECTIONS:
            mine = {f["pref"] for f in shown if OURS in str(f.get("options", {}).get("bpf_name"))}
            kept[name] = [f for f in shown if f["pref"] not in mine]
    for name in [n for n in view if n.startswith("qdisc ")]:
        if not any(kept[f"{direction} {name[6:]}"] for direction in DIRECTIONS):
            kept[name] = [q for q in view[name] if q["kind"] != "clsact"]
    (net,) = view["net"]
    kept["net"] = {**net, "tc": [f for f in net["tc"] if OURS not in str(f.get("name"))]}
    return kept


def _untouched(before: dict[str, Any], now: dict[str, Any]) -> None:
    assert _others_of(now) == _others_of(before)


def _counted(scene: Scene, hook: str, rung: str, packets: int) -> None:
    """TCX comes before all filters, and ours is the first of its kind at both."""
    behind_tcx = rung == "clsact" and any(_is_tcx(id) for id in scene.programs)
    assert packets == SHORTS + (0 if behind_tcx else LONGS), (scene, hook, rung)


def _is_tcx(program: int) -> bool:
    return bpf.prog_name(program) in ("acme_first", "acme_second")


def _no_room(scene: Scene, hook: str, pinned: str | None) -> bool:
    """Where egress would need a clsact qdisc, and somebody's ingress qdisc stands."""
    only_ingress = len(scene.programs) == 1 and hook == "tc-egress"
    return only_ingress and (pinned == "clsact" or not _has_tcx())


# -- by hand, as keys do ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "rung"),
    [pytest.param(case, None, id=case) for case in BUILDERS]
    + [pytest.param(c, "clsact", id=f"{c}-clsact") for c in BUILDERS if c[:3] != "xdp"],
)
def test_attached_and_detached_by_hand(
    other: Somebody, modules: Modules, case: str, rung: str | None
) -> None:
    """Beside them where there is room, looking on where there is none; they never notice."""
    if not _has_tcx() and (case == "tcx-chain" or rung is not None):
        pytest.skip("this kernel has no TCX; its best rung is clsact")
    scene = BUILDERS[case](other, "f0", "p0")
    _traffic(other, scene)
    before = _view([scene])
    ours = [Attachment(catalogue()[h], modules, "f0", scene.index) for h in scene.hooks]
    try:
        for attachment in ours:
            pinned = None if _no_room(scene, attachment.hook.name, rung) else rung
            status = attachment.climb(pinned=pinned, asked=True)
            _stands_where_it_should(scene, status, rung)
        _untouched(before, _view([scene]))
        _traffic(other, scene)
        for attachment in ours:
            if attachment.status.state is State.ATTACHED:
                (row,) = attachment.read().rows.values()
                packets = row[[c.name for c in attachment.hook.stored].index("packets")]
                assert isinstance(packets, int)
                _counted(scene, attachment.hook.name, attachment.status.rung or "", packets)
    finally:
        for attachment in ours:
            attachment.detach()
    assert _view([scene]) == before
    _traffic(other, scene)


def _stands_where_it_should(scene: Scene, status: Status, rung: str | None) -> None:
    if not scene.holder:
        busy = _no_room(scene, status.id.hook, rung)
        assert status.state is (State.PASSIVE if busy and not _has_tcx() else State.ATTACHED)
        if busy and not _has_tcx():
            assert "ingress qdisc" in status.refused[-1].why
        return
    assert (status.state, status.rung) == (State.PASSIVE, "netlink")
    assert [r.rung for r in status.refused] == [r.name for r in catalogue()["xdp"].ladder[:-1]]
    assert all(r.error in ("EBUSY", "EEXIST", "Busy") for r in status.refused)
    assert status.refused[0].why == f"{scene.holder} is already attached"


def test_sock_ops_beside_sock_ops_by_hand(other: Somebody, modules: Modules) -> None:
    """Beside one that was attached as one of many and one by a link, we are there in both ways."""
    root = cgroups.root()
    if root is None:
        pytest.skip("cgroup v2 is not mounted here")
    programs = [other.sock_ops(root, how) for how in ("multi", "link")]
    _connections(other, *programs)
    before = _view([], programs, root)
    pair = [Attachment(catalogue()["tcp-rtt"], modules) for _ in range(2)]
    try:
        for ours, rung in zip(pair, ("sock_ops-link", "sock_ops-multi"), strict=True):
            assert ours.climb(pinned=rung, asked=True).rung == rung
            assert _view([], programs, root) == before
        _connections(other, *programs)
        with server("127.0.0.1") as port, talk("127.0.0.1", port, 5) as connection:
            for ours in pair:
                _seen_by_sock_ops(ours, connection.getsockname()[1])
    finally:
        for ours in pair:
            ours.detach()
    assert _view([], programs, root) == before
    _connections(other, *programs)


def _seen_by_sock_ops(attachment: Attachment, port: int) -> None:
    names = [c.name for c in attachment.hook.stored]
    rows: list[dict[str, Any]] = [
        dict(zip(names, row, strict=True)) for row in attachment.read().rows.values()
    ]
    (row,) = (r for r in rows if r["lport"] == port)
    assert row["from"] == "sock_ops"
    assert row["samples"] == sum(row["rtt"]) > 0


def test_an_exclusive_sock_ops_program_by_hand(
    other: Somebody, modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a cgroup that is taken for the root: the host's own is nobody's to block."""
    with own_cgroup() as group, closing(other):
        monkeypatch.setattr(cgroups, "root", lambda: group)
        other.ask("enter", str(group))
        program = other.sock_ops(group, "exclusive")
        before = _view([], [program], group)
        attachment = Attachment(catalogue()["tcp-rtt"], modules)
        try:
            status = attachment.climb(asked=True)
            _yields_to_the_exclusive(
                status.rung, [(r.rung, r.why) for r in status.refused], program
            )
            _connections(other, program)
        finally:
            attachment.detach()
        assert _view([], [program], group) == before
        _connections(other, program)


def _yields_to_the_exclusive(
    rung: str | None, refused: list[tuple[str, str]], program: int
) -> None:
    assert rung is not None
    assert not rung.startswith("sock_ops")
    assert [name for name, _ in refused[:3]] == ["sock_ops-iter", "sock_ops-link", "sock_ops-multi"]
    assert f"acme_ops#{program}" in refused[1][1]
    assert "allows no other beside it" in refused[1][1]


# -- by the real command ---------------------------------------------------------------------


def _all(other: Somebody) -> list[Scene]:
    cases = [c for c in BUILDERS if c != "tcx-chain" or _has_tcx()]
    return [BUILDERS[case](other, f"f{i}", f"p{i}") for i, case in enumerate(cases)]


def _asked(scenes: list[Scene]) -> list[str]:
    ids = [f"{hook}@{scene.device}" for scene in scenes for hook in scene.hooks]
    return [word for id in (*ids, "tcp-rtt") for word in ("--hook", id)]


LASTING = ("--rung", "tc-ingress=clsact", "--rung", "tcp-rtt=sock_ops-multi")


@pytest.mark.parametrize(
    ("number", "cgroup", "pinned"),
    [
        # By hand the same is done on every kernel; the command costs a guest minutes.
        pytest.param(signal.SIGTERM, "shared", (), id="SIGTERM", marks=pytest.mark.anywhere),
        pytest.param(signal.SIGKILL, "exclusive", (), id="SIGKILL"),
        pytest.param(
            signal.SIGKILL, "shared", LASTING, id="SIGKILL-lasting", marks=pytest.mark.anywhere
        ),
    ],
)
def test_the_command_comes_and_goes(
    other: Somebody, number: signal.Signals, cgroup: str, pinned: tuple[str, ...]
) -> None:
    """All of them at once, each with its own foreigners; what outlives a kill, the next start
    removes, and nothing else."""
    with ExitStack() as stack:
        scenes = _all(other)
        if cgroup == "exclusive":
            root = stack.enter_context(own_cgroup())
            stack.callback(other.close)
            other.ask("enter", str(root))
            operators = [other.sock_ops(root, "exclusive")]
            before_it = confined(root)
        else:
            found = cgroups.root()
            if found is None:
                pytest.skip("cgroup v2 is not mounted here")
            root, before_it = found, ()
            operators = [other.sock_ops(root, how) for how in ("multi", "link")]

        def traffic() -> None:
            for scene in scenes:
                _traffic(other, scene)
            _connections(other, *operators)

        traffic()
        before = _view(scenes, operators, root)
        asked = [*_asked(scenes), *pinned]
        # Where there is room, the doctor compiles: that is no question of this test.
        narrow = [s for s in scenes if s.holder or len(s.programs) == 1]
        predicted = _predicted(before_it, _asked(narrow)) if cgroup == "exclusive" else {}
        with running("stream", "--interval", "0.2", *asked, before=before_it) as child:
            told = _line(child)
            _untouched(before, _view(scenes, operators, root))
            traffic()
            _as_they_should(scenes, told, predicted, operators, cgroup)
            _counts(child, scenes)
            mine = held(child.pid)
            child.send_signal(number)
            child.wait()
        if number == signal.SIGTERM:
            assert child.returncode == 128 + signal.SIGTERM
        else:
            traffic()
            _untouched(before, _view(scenes, operators, root))
            if any(h["rung"] in ("clsact", "sock_ops-multi") for h in told.values()):
                done = ebpftop("once", "--for", "0", "--hook", "interfaces")
                assert done.stderr.count("left behind by a killed ebpftop") >= 1, done.stderr
        assert left_of(*mine) == (set(), set())
        assert _view(scenes, operators, root) == before
        traffic()


Told = dict[tuple[str, str | None], dict[str, Any]]


def _line(child: subprocess.Popen[str]) -> Told:
    """The next tick's hooks, by name and target."""
    assert child.stdout is not None
    line = child.stdout.readline()
    assert line, child.communicate()
    return {(h["hook"], h["target"]): h for h in json.loads(line)["hooks"]}


def _counts(child: subprocess.Popen[str], scenes: list[Scene]) -> None:
    """What ours have counted of the traffic that is over: just that."""
    told = _line(child)
    began = time.time()
    while time.time() - began < 1:  # lines that were written before are read first
        told = _line(child)
    for scene in scenes:
        for hook in scene.hooks:
            shown = told[hook, scene.device]
            if shown["state"] == "attached":
                _counted(scene, hook, shown["rung"], shown["rows"][0]["packets"])


def _predicted(before: tuple[str, ...], asked: list[str]) -> dict[tuple[str, str | None], Any]:
    done = ebpftop("doctor", "--json", *asked, before=before)
    assert done.returncode == 0, done.stderr
    return {(h["hook"], h["target"]): h for h in json.loads(done.stdout)["hooks"]}


def _as_they_should(
    scenes: list[Scene], told: Told, predicted: Told, operators: list[int], cgroup: str
) -> None:
    for scene in scenes:
        for hook in scene.hooks:
            shown = told[hook, scene.device]
            if scene.holder:
                assert (shown["state"], shown["rung"]) == ("passive", "netlink")
                assert shown["refused"][0]["why"] == f"{scene.holder} is already attached"
                assert shown["rows"][0]["program_id"] in scene.programs
    if cgroup == "exclusive":
        shown = told["tcp-rtt", None]
        refused = [(r["rung"], r["why"]) for r in shown["refused"]]
        _yields_to_the_exclusive(shown["rung"], refused, operators[0])
    for id, doctor in predicted.items():
        assert doctor["predicted"] == told[id]["rung"], (id, doctor, told[id])
        said = {r["rung"]: r["why"] for r in doctor["rungs"]}
        for refusal in told[id]["refused"][:1]:
            assert said[refusal["rung"]] == refusal["why"]
