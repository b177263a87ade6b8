"""The owner of what is attached: it yields to others, steps down, and lets go of everything."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from probes.attach.tracepoint import RawTracepoint
from probes.compile.compiler import Compiler, Module
from probes.errors import ProbeError
from probes.hooks import catalogue
from probes.ladder.attachment import Attachment, Modules
from probes.model import (
    Column,
    Hook,
    Kind,
    Opening,
    Program,
    Reach,
    Reading,
    Rung,
    Sample,
    State,
    same_totals,
)
from tests.support.commands import held, left_of
from tests.support.events import getpgid
from tests.support.namespaces import as_json, namespace, run, send, veth
from tests.support.rungs import stood

pytestmark = pytest.mark.kernel

TARGETED = [
    pytest.param(h.name, r.name, id=f"{h.name}:{r.name}")
    for h in catalogue().values()
    if h.target == "interface"
    for r in h.ladder
]


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    before = held()
    yield
    assert held() == before


@pytest.fixture
def make(modules: Modules) -> Iterator[Callable[..., Attachment]]:
    made: list[Attachment] = []

    def of(hook: str | Hook, target: str | None = None, index: int = 0) -> Attachment:
        hook = catalogue()[hook] if isinstance(hook, str) else hook
        made.append(Attachment(hook, modules, target, index))
        return made[-1]

    yield of
    for attachment in made:
        attachment.detach()


def _row(sample: Sample, hook: Hook) -> dict[str, object]:
    (row,) = sample.rows.values()
    return {c.name: value for c, value in zip(hook.stored, row, strict=True)}


# -- others are there already ----------------------------------------------------------------


def test_a_program_that_comes_between_question_and_answer_is_not_replaced(
    make: Callable[..., Attachment],
) -> None:
    """Two of ours on one interface: the second yields to the first as to anybody else."""
    index, _ = veth()
    first, second = make("xdp", "v0", index), make("xdp", "v0", index)
    assert first.climb(asked=True).state is State.ATTACHED
    status = second.climb(asked=True)
    assert (status.state, status.rung) == (State.PASSIVE, "netlink")
    send("v1", 5)
    assert _row(first.read(), first.hook)["pass"] == 5


# -- what may be attached --------------------------------------------------------------------


def test_a_rung_that_outlives_the_process_is_taken_on_a_person_s_word_only(
    make: Callable[..., Attachment],
) -> None:
    index, _ = veth()
    before = as_json("tc", "-j", "qdisc")
    attachment = make("tc-ingress", "v0", index)
    status = attachment.climb(pinned="clsact")
    assert status.state is State.FAILED
    assert status.refused[0].error == "Denied"
    assert "outlive" in status.refused[0].why
    assert as_json("tc", "-j", "qdisc") == before
    assert attachment.climb(pinned="clsact", asked=True).rung == "clsact"
    assert as_json("tc", "-j", "qdisc") != before
    attachment.detach()
    assert as_json("tc", "-j", "qdisc") == before


@pytest.mark.parametrize(("hook", "rung"), TARGETED)
def test_observe_only_attaches_to_no_data_path(modules: Modules, hook: str, rung: str) -> None:
    index, _ = veth()
    attachment = Attachment(catalogue()[hook], modules, "v0", index, observe_only=True)
    status = attachment.climb(pinned=rung, asked=True)
    known = attachment.hook.rung(rung)
    assert known is not None
    in_path = attachment.hook.reach_of(known) is Reach.DATA_PATH
    refused = known.lasting or (in_path and not known.passive)
    assert any("--observe-only" in refusal.why for refusal in status.refused) is refused
    assert status.state is State.FAILED or not refused
    attachment.detach()


# -- coming and going ------------------------------------------------------------------------


@pytest.mark.parametrize(("hook", "rung"), TARGETED)
def test_an_interface_that_vanishes_ends_the_attachment_with_a_sentence(
    make: Callable[..., Attachment], hook: str, rung: str
) -> None:
    index, _ = veth()
    attachment = make(hook, "v0", index)
    stood(attachment.climb(pinned=rung, asked=True))
    attachment.read()
    run("ip", "link", "del", "v0")
    sample = attachment.read()
    assert sample.status.state is State.FAILED
    assert sample.status.rung is None
    assert "the interface has gone" in sample.status.refused[-1].why
    assert sample.rows == {}
    assert attachment.read().status == sample.status, "said once"
    assert attachment.detach().state is State.DETACHED


@pytest.mark.anywhere
def test_numbers_go_on_when_attached_again(make: Callable[..., Attachment]) -> None:
    """And begin at zero only where somebody detached it before."""
    index, peer = veth()
    attachment = make("tc-ingress", "v0", index)
    other = make("tc-ingress", "v1", peer)  # keeps the shared map
    other.climb(asked=True)
    attachment.climb(asked=True)
    send("v1", 7)
    before = attachment.read()
    assert _row(before, attachment.hook)["packets"] == 7
    attachment.climb(asked=True)
    assert attachment.read().epoch == before.epoch, "it stands there already"
    attachment.climb(asked=True, pinned="clsact")  # it would count into the same map
    send("v1", 2)
    after = attachment.read()
    assert _row(after, attachment.hook)["packets"] == 9
    assert after.epoch != before.epoch
    assert same_totals(before.epoch, after.epoch)
    attachment.detach()
    attachment.climb(asked=True)
    anew = attachment.read()
    assert _row(anew, attachment.hook)["packets"] == 0
    assert not same_totals(after.epoch, anew.epoch)


def test_a_passive_rung_gives_numbers_until_the_ladder_has_been_walked(
    make: Callable[..., Attachment],
) -> None:
    attachment = make("drops")
    attachment.stand_passive()
    first = attachment.read()
    assert (first.status.state, first.status.rung) == (State.ATTACHING, "counters")
    attachment.climb()
    assert attachment.read().epoch != first.epoch


@pytest.mark.anywhere
def test_a_ladder_that_ends_where_it_rested_goes_on_counting(
    make: Callable[..., Attachment],
) -> None:
    """The first rate is there with the second tick, and not lost to a new beginning."""
    attachment = make("interfaces")
    attachment.stand_passive()
    first = attachment.read()
    assert attachment.climb().state is State.PASSIVE
    assert attachment.read().epoch == first.epoch
    attachment.climb()
    assert attachment.read().epoch == first.epoch, "nothing has changed"


@pytest.mark.anywhere
def test_what_is_detached_is_read_as_nothing(make: Callable[..., Attachment]) -> None:
    attachment = make("syscalls")
    for _ in range(2):
        attachment.climb()
        assert attachment.detach().state is State.DETACHED
        sample = attachment.read()
        assert (sample.status.state, sample.rows, sample.cost) == (State.DETACHED, {}, None)
    attachment.detach()


def _bpf_fds() -> list[str]:
    """What this process has open of BPF and perf, by kind."""
    kinds = []
    for fd in Path("/proc/self/fd").iterdir():
        try:
            kinds.append(str(fd.readlink()))
        except OSError:
            continue  # the directory's own
    return sorted(k for k in kinds if "bpf" in k or "perf" in k)


@pytest.mark.anywhere
@pytest.mark.parametrize("hook", ["tc-ingress", "xdp", "syscalls", "tcp-connect", "tcp-rtt"])
def test_fifty_times_attached_and_detached_nothing_leaks(
    make: Callable[..., Attachment], hook: str
) -> None:
    """Neither a file descriptor nor a program."""
    index, other = veth()
    targeted = catalogue()[hook].target == "interface"
    keeper = make(hook, *(("v1", other) if targeted else ()))  # keeps the compiled module
    keeper.climb(asked=True)
    attachment = make(hook, *(("v0", index) if targeted else ()))
    before, loaded = _bpf_fds(), set(held()[0])
    seen: set[int] = set()
    for _ in range(50):
        attachment.climb(asked=True)
        seen |= held()[0] - loaded
        attachment.read()
        attachment.detach()
    assert _bpf_fds() == before
    assert seen, keeper.status
    assert left_of(seen, set()) == (set(), set())


@pytest.mark.anywhere
def test_a_module_goes_with_its_last_attachment(make: Callable[..., Attachment]) -> None:
    before = _bpf_fds()
    attachment = make("syscalls")
    for _ in range(3):
        attachment.climb()
        assert _bpf_fds() != before
        attachment.detach()
        assert _bpf_fds() == before


class _Counting(Compiler):
    """The real compiler, which counts."""

    compiled = 0

    def compile(self, source: str) -> Module:
        self.compiled += 1
        return super().compile(source)


@pytest.mark.anywhere
def test_attachments_share_a_module_and_one_that_goes_leaves_the_other_working() -> None:
    index, other = veth()
    compiler = _Counting(catalogue().values())
    modules = Modules(compiler)
    hook = catalogue()["tc-ingress"]
    pair = [Attachment(hook, modules, n, i) for n, i in (("v0", index), ("v1", other))]
    try:
        threads = [threading.Thread(target=a.climb, kwargs={"pinned": "tcx"}) for a in pair]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if pair[0].status.state is State.FAILED:
            pytest.skip(pair[0].status.refused[0].why)
        assert compiler.compiled == 1
        pair[1].detach()
        send("v1", 11)
        assert _row(pair[0].read(), hook)["packets"] == 11
    finally:
        for attachment in pair:
            attachment.detach()
        compiler.close()


# -- errors in the middle --------------------------------------------------------------------

_SOURCE = """
BPF_HASH(rows, u32, u64, 8);
int first(void *ctx) { u32 key = 0; u64 one = 1; rows.update(&key, &one); return 0; }
int second(void *ctx) { return 0; }
"""


def _open(opening: Opening) -> Callable[[], Reading]:
    assert len(opening.program_ids) in (1, 2)
    return Reading


def _refusing(_: Opening) -> Callable[[], Reading]:
    raise ProbeError("it cannot be read")


def _hook(rung: Rung) -> Hook:
    columns = (Column("key", "Key", kind=Kind.KEY, field="key"),)
    return Hook("made-up", "Made up", "Nothing.", columns, (rung,))


def _two(point: RawTracepoint, *, optional: bool = False, **more: object) -> Rung:
    programs = (
        Program("first", RawTracepoint("sys_enter")),
        Program("second", point, optional, "the second is missing" if optional else ""),
    )
    rung = {"open": _open, "source": _SOURCE, "programs": programs, **more}
    return Rung("two", "Linux 4.17", **rung)  # type: ignore[arg-type]


@pytest.mark.anywhere
def test_an_error_in_the_middle_releases_what_was_attached_before(
    make: Callable[..., Attachment],
) -> None:
    before = _bpf_fds()
    attachment = make(_hook(_two(RawTracepoint("no_such_tracepoint"))))
    status = attachment.climb()
    assert status.state is State.FAILED
    assert (status.refused[0].rung, status.refused[0].error) == ("two", "ENOENT")
    assert "no tracepoint no_such_tracepoint" in status.refused[0].why
    assert _bpf_fds() == before


def test_a_rung_whose_map_cannot_be_read_releases_its_programs(
    make: Callable[..., Attachment],
) -> None:
    before = _bpf_fds()
    attachment = make(_hook(_two(RawTracepoint("sys_exit"), open=_refusing)))
    status = attachment.climb()
    assert (status.state, status.refused[0].why) == (State.FAILED, "it cannot be read")
    assert _bpf_fds() == before


def test_a_rung_stands_without_its_optional_programs_and_says_so(
    make: Callable[..., Attachment],
) -> None:
    attachment = make(_hook(_two(RawTracepoint("no_such_tracepoint"), optional=True)))
    status = attachment.climb()
    assert (status.state, status.rung) == (State.ATTACHED, "two")
    assert status.note.startswith("the second is missing: ")
    assert attachment.read().cost is not None


def test_a_program_that_the_verifier_refuses_comes_with_its_words(
    make: Callable[..., Attachment],
) -> None:
    bad = "int first(void *ctx) { return *(int *)0; }\nint second(void *ctx) { return 0; }\n"
    attachment = make(_hook(_two(RawTracepoint("sys_exit"), source=bad)))
    (refusal,) = attachment.climb().refused
    assert refusal.log, "what the verifier or the compiler said"


@pytest.mark.anywhere
def test_an_error_that_is_nobody_s_refusal_refuses_its_rung_and_releases_everything(
    make: Callable[..., Attachment],
) -> None:
    """It does not look like a kernel that cannot: the sentence says what was raised, and where."""

    def broken(opening: Opening) -> Callable[[], Reading]:
        raise KeyError(opening.hook.name)

    before = _bpf_fds()
    attachment = make(_hook(_two(RawTracepoint("sys_exit"), open=broken)))
    status = attachment.climb()
    assert (status.state, [r.error for r in status.refused]) == (State.FAILED, ["Unexpected"])
    assert status.refused[0].why.startswith("attaching two of made-up failed: KeyError: 'made-up'")
    assert _bpf_fds() == before


@pytest.mark.anywhere
def test_an_attachment_can_be_read_while_another_thread_climbs(
    make: Callable[..., Attachment],
) -> None:
    attachment = make("syscalls")
    attachment.stand_passive()
    climber = threading.Thread(target=attachment.climb)
    climber.start()
    seen = set()
    while climber.is_alive():
        seen.add(attachment.read().status.state)
    climber.join()
    getpgid(0, 3)
    sample = attachment.read()
    assert seen <= {State.ATTACHING, State.ATTACHED, State.PASSIVE}
    assert sample.status.state in (State.ATTACHED, State.PASSIVE)
