"""What real devices answer to native XDP: the ladder steps down, and says why in a sentence."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from probes.attach import program as bpf_program
from probes.attach import refusals
from probes.attach.xdp import XdpLink
from probes.errors import Busy, Unsupported
from probes.hooks import catalogue
from probes.kernel import bpf
from probes.ladder.attachment import Attachment, Modules
from probes.model import State
from tests.support import seccomp
from tests.support.commands import ebpftop
from tests.support.devices import make, tun
from tests.support.foreign import somebody
from tests.support.namespaces import as_json, namespace, run, send, veth
from tests.support.scenarios import find, values

pytestmark = pytest.mark.kernel
HOOK = catalogue()["xdp"]
FRAMES = 11
GENERIC = 2  # XDP_ATTACHED_SKB as ip -j shows it


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


def _veth(mtu: int = 1500, peer: int = 1500) -> str:
    veth()
    run("ip", "link", "set", "dev", "v0", "mtu", str(mtu))
    run("ip", "link", "set", "dev", "v1", "mtu", str(peer))
    return "v0"


def _few_queues() -> str:
    """It receives by one queue what its peer sends by two."""
    run("ip", "link", "add", "name", "v0", "numrxqueues", "1", "numtxqueues", "1",
        "type", "veth", "peer", "name", "v1", "numtxqueues", "2", "numrxqueues", "2")  # fmt: skip
    for name in ("v0", "v1"):
        run("ip", "link", "set", "dev", name, "up")
    return "v0"


def _virtio(mtu: int) -> str:
    """A guest's own, which nobody needs: its driver wants a packet in one page."""
    name = os.environ.get("EBPFTOP_SPARE_NIC")
    if not name:
        pytest.skip("no network card to spare here")
    run("nsenter", "-t", "1", "-n", "ip", "link", "set", name, "netns", str(os.getpid()))
    run("ip", "link", "set", "dev", name, "mtu", str(mtu), "up")
    return name


def _made(kind: str, *options: str) -> Callable[[], str]:
    def device() -> str:
        make("d0", kind, *options)
        return "d0"

    return device


@dataclass(frozen=True)
class Device:
    """A device and what its driver answers. says: words of the sentence."""

    make: Callable[[], str]
    answer: str = ""
    says: tuple[str, ...] = field(default=())


NO_XDP = ("driver has no native XDP",)
DEVICES = {
    "veth": Device(_veth),
    "veth, MTU 8901": Device(lambda: _veth(8901, 8901), "ERANGE", ("MTU", "8901")),
    "veth, MTU 9000": Device(lambda: _veth(9000, 9000), "ERANGE", ("MTU", "9000")),
    "veth, only its peer's MTU 9000": Device(lambda: _veth(1500, 9000), "ERANGE", ("peer",)),
    "virtio_net, MTU 9000": Device(lambda: _virtio(9000), "EINVAL", ("MTU", "9000")),
    "veth with too few queues": Device(_few_queues, "ENOSPC", ("receive queues",)),
    "lo": Device(lambda: "lo", "EOPNOTSUPP", NO_XDP),
    "bridge": Device(_made("bridge"), "EOPNOTSUPP", NO_XDP),
    "ifb": Device(_made("ifb"), "EOPNOTSUPP", NO_XDP),
    "dummy": Device(_made("dummy"), "EOPNOTSUPP", NO_XDP),
    "vxlan": Device(_made("vxlan", "id", "7", "dstport", "4789"), "EOPNOTSUPP", NO_XDP),
    "tun": Device(lambda: "t0", "EOPNOTSUPP", NO_XDP),
    "tap": Device(lambda: "t1"),
}


@pytest.fixture
def device(request: pytest.FixtureRequest) -> Iterator[tuple[Device, str]]:
    wanted = DEVICES[request.param]
    with ExitStack() as stack:
        if request.param in ("tun", "tap"):
            name = wanted.make()
            stack.enter_context(tun(name, ethernet=request.param == "tap"))
        else:
            name = wanted.make()
        yield wanted, name


def _climbed(modules: Modules, name: str) -> Attachment:
    attachment = Attachment(HOOK, modules, name, socket.if_nametoindex(name))
    attachment.climb()
    return attachment


@pytest.mark.parametrize("device", DEVICES, indirect=True)
def test_the_ladder_stands_on_the_mode_that_the_device_has(
    modules: Modules, device: tuple[Device, str]
) -> None:
    wanted, name = device
    attachment = _climbed(modules, name)
    try:
        status = attachment.status
        assert status.state is State.ATTACHED
        shown = as_json("ip", "-j", "link", "show", "dev", name)[0]["xdp"]["mode"]
        if not wanted.answer:
            assert (status.rung, status.refused) == ("link-native", ())
            assert shown != GENERIC
            return
        (refusal,) = status.refused
        assert (status.rung, shown) == ("link-generic", GENERIC)
        assert (refusal.rung, refusal.error) == ("link-native", wanted.answer)
        assert all(word in refusal.why for word in wanted.says), refusal.why
        assert ("MTU" in refusal.why) is (wanted.answer in ("ERANGE", "EINVAL"))
        assert len(refusal.why) <= 160
    finally:
        attachment.detach()
    assert "xdp" not in as_json("ip", "-j", "link", "show", "dev", name)[0]


@pytest.mark.parametrize("mtu", [1500, 9000])
def test_packets_are_counted_exactly_in_whichever_mode(modules: Modules, mtu: int) -> None:
    _veth(mtu, mtu)
    attachment = _climbed(modules, "v0")
    try:
        send("v1", FRAMES)
        send("v1", FRAMES, b"\xff" * 12 + b"\x88\xb5" + b"\0" * (mtu - 100))
        row = find(values(attachment), interface="v0")
        assert row["pass"] == 2 * FRAMES
        assert row["bytes"] == FRAMES * (60 + mtu - 86)
    finally:
        attachment.detach()


def test_a_program_that_comes_first_is_busy_in_its_own_mode_and_in_the_other(
    modules: Modules, tmp_path: Path
) -> None:
    """EBUSY and EEXIST from the kernel itself; the ladder ends on the counters."""
    index, _ = veth()
    with somebody(tmp_path) as other:
        program = other.xdp_by_link(index, "native")
        for mode, answer in (("native", errno.EBUSY), ("generic", errno.EEXIST)):
            point = XdpLink(mode)
            fd = bpf_program.load(point, bpf.exit_with(2), "probe")
            try:
                with pytest.raises(Busy, match="acme_xdp") as refused:
                    point.attach(fd, index, {})
            finally:
                os.close(fd)
            assert refused.value.errno == answer
        attachment = _climbed(modules, "v0")
        assert (attachment.status.state, attachment.status.rung) == (State.PASSIVE, "netlink")
        attachment.detach()
        assert as_json("ip", "-j", "link", "show", "v0")[0]["xdp"]["prog"]["id"] == program


@pytest.mark.anywhere
@pytest.mark.parametrize(
    ("answer", "says"), [("ENOMEM", "no memory or no free queues"), ("EINVAL", "Linux 5.9")]
)
def test_what_no_device_here_answers_is_made_by_a_filter(answer: str, says: str) -> None:
    """A driver without memory or queues (virtio_net, mlx5), and a kernel without links."""
    veth()
    launcher = Path(seccomp.__file__)
    before = (sys.executable, str(launcher), f"bpf:28={answer}", "--")
    done = ebpftop("once", "--for", "0", "--hook", "xdp@v0", before=before)
    assert done.returncode == 0, done.stderr
    assert f"not link-native: {answer}" in done.stdout
    assert f"not link-generic: {answer}" in done.stdout
    assert says in done.stdout
    assert "attached on netlink-native" in done.stdout


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ERANGE])
def test_a_driver_s_answer_to_a_large_mtu_names_it(code: int) -> None:
    """ixgbevf says EINVAL where veth says ERANGE."""
    _veth(9000, 9000)
    refusal = refusals.attach_refused(
        code, "native XDP", XdpLink("native"), socket.if_nametoindex("v0")
    )
    assert isinstance(refusal, Unsupported)
    assert "MTU" in refusal.why
    assert "9000" in refusal.why
    assert "native XDP" in refusal.remedy
