"""Rungs, pinned one after the other, and what each tells of the same events."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import pytest

from probes.errors import short
from probes.hooks import catalogue
from probes.ladder import features
from probes.ladder.attachment import Attachment, Modules
from probes.model import Hook, HookId, Refusal, Rung, State, Status
from tests.support.commands import left_of
from tests.support.namespaces import bpftool
from tests.support.scenarios import Values, sample_of

T = TypeVar("T")


def await_messages() -> None:
    """Wait for programs that have the messages of new sockets: of a test before, one is still
    being freed. Skip where somebody else's stays."""
    with_them = {p["id"] for p in bpftool("prog", "list") if p["type"] == "sk_msg"}
    if left_of(with_them, set())[0]:
        pytest.skip("somebody else's program has the messages of each new socket")


def given(hook: Hook, index: int) -> list[Rung]:
    """The rungs with programs that this kernel gives, as far as it tells beforehand."""
    return [r for r in hook.ladder if not r.passive and features.veto(r, index) is None]


@contextmanager
def compiled(modules: Modules, rungs: list[Rung], target: str | None) -> Iterator[None]:
    """Their sources, compiled side by side and kept until the end."""
    with ExitStack() as stack, ThreadPoolExecutor(2) as threads:
        sources = dict.fromkeys(r.source_for(target) for r in rungs)
        list(threads.map(lambda source: modules.take(source, stack), sources))
        yield


@contextmanager
def pinned(modules: Modules, id: HookId, rung: str, index: int) -> Iterator[Attachment | None]:
    """A hook on one rung; None where this kernel or device does not give it after all."""
    attachment = Attachment(catalogue()[id.hook], modules, id.target, index)
    try:
        status = attachment.climb(pinned=rung, asked=True)
        assert not any(refusal.log for refusal in status.refused), status
        yield attachment if status.state is State.ATTACHED else None
    finally:
        attachment.detach()


_OURS = ("LoadFailed", "Unexpected")


def _short(refusal: Refusal) -> bool:
    return short(getattr(errno, refusal.error, None))


def stood(
    status: Status, record: Callable[[str, object], None] | None = None, *, passive: bool = True
) -> None:
    """Skip where the kernel refuses it; fail where the compiler, the verifier or our code did.

    So does what the host was only short of: it tells nothing of the kernel, and would hide a rung.
    passive: whether to stand on a rung without programs will do. record: pytest's, of properties.
    """
    ours = [r for r in status.refused if r.log or r.error in _OURS or _short(r)]
    assert not ours, [(r.rung, r.why, r.log[-2000:]) for r in ours]
    if status.state is State.ATTACHED or (passive and status.state is State.PASSIVE):
        return
    said = "; ".join(f"{r.error}: {r.why}" for r in status.refused)
    if record is not None:
        record("refused", said)
    pytest.skip(said or f"it is {status.state}")


@contextmanager
def standing(
    modules: Modules,
    hook: Hook | str,
    target: str | None = None,
    index: int = 0,
    *,
    rung: str | None = None,
    passive: bool = True,
) -> Iterator[Attachment]:
    """A hook on one rung, or on the best; skips and fails as `stood` does. hook: or HOOK@TARGET."""
    if isinstance(hook, str):
        id = HookId.parse(hook)
        hook, target = catalogue()[id.hook], target or id.target
    attachment = Attachment(hook, modules, target, index)
    try:
        stood(attachment.climb(pinned=rung, asked=True), passive=passive)
        yield attachment
    finally:
        attachment.detach()


def on_each_rung(
    modules: Modules,
    spec: str,
    tell: Callable[[Attachment], list[Values]],
    *,
    index: int = 0,
    keep: Callable[[str], None] = lambda _: None,
) -> dict[str, list[Values]]:
    """What `tell` gives on each rung that this kernel gives, one after the other."""
    id = HookId.parse(spec)
    told: dict[str, list[Values]] = {}
    rungs = given(catalogue()[id.hook], index)
    with compiled(modules, rungs, id.target):
        for rung in rungs:
            keep(rung.source_for(id.target))
            with pinned(modules, id, rung.name, index) as attachment:
                if attachment is not None:
                    told[rung.name] = tell(attachment)
    return told


def unmissed(
    attachment: Attachment,
    tell: Callable[[], T],
    tries: int = 50,
    *,
    lost: Callable[[T], int] = lambda _: 0,
) -> T:
    """What `tell` gives when its rung missed nothing meanwhile; it is called again where it did.

    lost: how much is lost because of what it did itself.

    No program on a kprobe or tracepoint runs on a CPU where anybody is within a call of bpf(2) on
    a map, or was when it lost the CPU; all that was missed on this host is told as lost.
    """
    for _ in range(tries):
        before = sample_of(attachment).lost
        told = tell()
        if sample_of(attachment).lost == before + lost(told):
            return told
    raise AssertionError(f"events were missed {tries} times, though nothing was asserted of them")
