"""What tests of rungs do where one does not stand: the kernel's refusals skip, ours fail."""

from __future__ import annotations

import pytest

from probes.model import HookId, Refusal, State, Status
from tests.support.rungs import stood

REFUSED = Refusal("kprobe", "ENOENT", "this kernel is built without kprobes", "")


def _status(state: State, *refused: Refusal) -> Status:
    return Status(HookId("drops", None), state, None, refused)


@pytest.mark.parametrize(
    "ours",
    [
        Refusal("fentry", "EACCES", "the verifier refused the program", "", "R0 !read_ok"),
        Refusal("fentry", "LoadFailed", "the compiler ended without an answer", ""),
        Refusal("fentry", "Unexpected", "attaching drops failed: KeyError", ""),
        Refusal("fentry", "EAGAIN", "the kernel cannot load it just now", ""),
        Refusal("fentry", "ENOMEM", "the kernel cannot load it just now", ""),
    ],
)
@pytest.mark.parametrize("state", [State.FAILED, State.ATTACHED])
def test_what_is_ours_fails(state: State, ours: Refusal) -> None:
    with pytest.raises(AssertionError, match=ours.why):
        stood(_status(state, REFUSED, ours))


def test_what_the_kernel_refuses_skips_and_is_recorded() -> None:
    said: list[object] = []
    with pytest.raises(pytest.skip.Exception, match="without kprobes"):
        stood(_status(State.FAILED, REFUSED), lambda *property: said.extend(property))
    assert said == ["refused", "ENOENT: this kernel is built without kprobes"]
    with pytest.raises(pytest.skip.Exception):
        stood(_status(State.PASSIVE, REFUSED), passive=False)


def test_what_stands_goes_on() -> None:
    stood(_status(State.ATTACHED, REFUSED), passive=False)
    stood(_status(State.PASSIVE))
