"""Readings that fail for a moment, and attachments that somebody else undoes behind our back."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from probes.analysis.snapshot import Trail
from probes.attach import handle
from probes.kernel import bpf, cgroups
from probes.ladder.attachment import Attachment
from probes.ladder.modules import Modules
from probes.ladder.totals import ANEW
from probes.model import State
from probes.point import ProgType
from tests.support.commands import held
from tests.support.namespaces import as_json, namespace, run, send, veth
from tests.support.rungs import standing
from tests.support.scenarios import values

pytestmark = pytest.mark.kernel


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


@pytest.fixture
def interface() -> int:
    """v0, whose peer is v1."""
    return veth()[0]


@pytest.fixture
def stand(modules: Modules) -> Iterator[Callable[..., Attachment]]:
    with ExitStack() as stack:
        yield lambda spec, index=0, rung=None: stack.enter_context(
            standing(modules, spec, index=index, rung=rung)
        )


# -- for a moment ------------------------------------------------------------------------------


@contextmanager
def _no_more_files() -> Iterator[None]:
    """This process can open nothing: EMFILE."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open("/dev/null", os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_reading_that_fails_once_is_said_and_no_number_is_made_of_it(
    stand: Callable[..., Attachment], interface: int
) -> None:
    """The sample before stands for it, with its own time; the next rate spans both ticks."""
    attachment = stand("tc-ingress@v0", interface)
    trail = Trail(attachment.hook)
    calm = attachment.status
    send("v1", 5)
    good = attachment.read()
    trail.snapshot(good)
    with _no_more_files():
        failed = attachment.read()
    assert (failed.rows, failed.time, failed.epoch) == (good.rows, good.time, good.epoch)
    assert failed.status.state is State.ATTACHED
    assert failed.status.note.startswith("not read since ")
    assert failed.status.note.endswith(": Too many open files")
    assert attachment.status == failed.status
    assert [r.rates["packets"] for r in trail.snapshot(failed).rows] == [None]
    send("v1", 7)
    after = attachment.read()
    assert after.status == calm
    (row,) = trail.snapshot(after).rows
    assert row["packets"] == 12
    assert row.rate("packets") == pytest.approx(7 / (after.time - good.time))


def test_a_first_reading_that_fails_is_no_beginning_to_count_from(
    stand: Callable[..., Attachment], interface: int
) -> None:
    attachment = stand("tc-ingress@v0", interface)
    send("v1", 5)
    with _no_more_files():
        failed = attachment.read()
    assert (failed.status.state, failed.rows) == (State.ATTACHED, {})
    trail = Trail(attachment.hook)
    trail.snapshot(failed)
    (row,) = trail.snapshot(attachment.read()).rows
    assert (row["packets"], row.rates["packets"]) == (5, None)


@pytest.mark.parametrize("rung", ["tcx", "clsact"])
def test_no_want_of_files_ends_an_attachment_however_long_it_lasts(
    stand: Callable[..., Attachment], interface: int, rung: str
) -> None:
    """What was counted meanwhile is there afterwards, and nothing has begun anew."""
    attachment = stand("tc-ingress@v0", interface, rung)
    good = attachment.read()
    with _no_more_files():
        samples = [attachment.read() for _ in range(100)]
    send("v1", 5)
    assert {s.status.state for s in samples} == {State.ATTACHED}
    assert {s.epoch for s in samples} == {good.epoch}
    after = attachment.read()
    assert (after.epoch, after.status.note) == (good.epoch, good.status.note)
    assert [r["packets"] for r in values(attachment)] == [5]


# -- by somebody else ------------------------------------------------------------------------


def _assert_noticed(attachment: Attachment, rung: str) -> None:
    """A pinned rung is not left for another."""
    status = attachment.read().status
    assert (status.state, status.rung) == (State.FAILED, None)
    assert (status.refused[-1].rung, status.refused[-1].error) == (rung, "Gone")
    assert "somebody else detached it" in status.refused[-1].why
    assert attachment.read().status == status, "said once"


@pytest.mark.parametrize(
    ("spec", "rung"),
    [
        ("xdp@v0", "link-native"),
        ("xdp@v0", "link-generic"),
        ("tc-ingress@v0", "tcx"),
        ("tc-egress@v0", "tcx"),
        ("tcp-rtt", "sock_ops-iter"),
        ("tcp-rtt", "sock_ops-link"),
        ("tcp-connect", "sock_ops"),
    ],
)
def test_a_link_that_was_detached_by_force_is_noticed_at_the_next_reading(
    stand: Callable[..., Attachment], interface: int, spec: str, rung: str
) -> None:
    before = held()[1]
    attachment = stand(spec, interface if "@" in spec else 0, rung)
    first = min(held()[1] - before)
    assert attachment.read().status.state is State.ATTACHED
    run("bpftool", "link", "detach", "id", str(first))
    _assert_noticed(attachment, rung)
    assert not held()[1] - before, "what was left of it is let go"


@pytest.mark.parametrize("spec", ["xdp@v0", "tc-ingress@v0"])
def test_without_a_pin_the_hook_steps_down_to_its_counters(
    stand: Callable[..., Attachment], interface: int, spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And does not attach again by itself: somebody wanted it gone."""
    monkeypatch.setattr(handle, "ASK_SECONDS", 0.0)
    before = held()[1]
    attachment = stand(spec, interface)
    epoch = attachment.read().epoch
    if ours := held()[1] - before:
        run("bpftool", "link", "detach", "id", str(max(ours)))
    else:
        run("tc", "qdisc", "del", "dev", "v0", "clsact")
    sample = attachment.read()
    assert (sample.status.state, sample.status.rung) == (State.PASSIVE, "netlink")
    said, _, since = sample.status.note.partition("; ")
    assert said == sample.status.refused[-1].why
    assert since.startswith(ANEW)
    assert "somebody else detached it" in sample.status.note
    assert sample.epoch != epoch
    assert attachment.read().status == sample.status
    assert attachment.climb(asked=True).state is State.ATTACHED, "it does when asked for"


@pytest.mark.parametrize("what", ["qdisc", "filter"])
def test_a_filter_that_was_deleted_is_noticed(
    stand: Callable[..., Attachment], interface: int, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handle, "ASK_SECONDS", 0.0)
    attachment = stand("tc-ingress@v0", interface, "clsact")
    assert attachment.read().status.state is State.ATTACHED
    if what == "qdisc":
        run("tc", "qdisc", "del", "dev", "v0", "clsact")
    else:
        run("tc", "filter", "del", "dev", "v0", "ingress")
    _assert_noticed(attachment, "clsact")
    assert not [q for q in as_json("tc", "-j", "qdisc") if q["kind"] == "clsact"]


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_an_xdp_program_that_was_replaced_is_noticed_and_the_other_left_alone(
    stand: Callable[..., Attachment], interface: int, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handle, "ASK_SECONDS", 0.0)
    attachment = stand("xdp@v0", interface, f"netlink-{mode}")
    send("v1", 5)
    assert [row["pass"] for row in values(attachment)] == [5]
    foreign = bpf.prog_load(ProgType.XDP, bpf.exit_with(2), name="foreign")
    id = bpf.prog_info(foreign).id
    kind = {"native": "xdpdrv", "generic": "xdpgeneric"}[mode]
    run("bpftool", "net", "attach", kind, "id", str(id), "dev", "v0", "overwrite")
    os.close(foreign)
    _assert_noticed(attachment, f"netlink-{mode}")
    attachment.detach()
    assert as_json("ip", "-j", "link", "show", "dev", "v0")[0]["xdp"]["prog"]["id"] == id


def test_a_cgroup_program_that_was_detached_is_noticed(
    stand: Callable[..., Attachment], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handle, "ASK_SECONDS", 0.0)
    before = held()[0]
    attachment = stand("tcp-rtt", rung="sock_ops-multi")
    first = min(held()[0] - before)
    assert attachment.read().status.state is State.ATTACHED
    run("bpftool", "cgroup", "detach", str(cgroups.root()), "sock_ops", "id", str(first))
    _assert_noticed(attachment, "sock_ops-multi")
