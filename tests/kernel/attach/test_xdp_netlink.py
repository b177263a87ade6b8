"""XDP through netlink: attached where nobody is, and nobody else's program is ever touched."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from errno import EBUSY, EEXIST, EOPNOTSUPP

import pytest

from probes.errors import Busy, Gone, Unsupported
from probes.kernel import bpf
from probes.kernel.netlink import route
from probes.kernel.netlink.xdp import xdp_attach, xdp_detach
from probes.point import ProgType
from tests.support.namespaces import namespace, run, send, veth

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="attaches XDP programs: needs root"),
]
DROP, PASS = 1, 2


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


@pytest.fixture
def programs() -> Iterator[tuple[int, int]]:
    """Ours and a foreign one, loaded."""
    fds = [
        bpf.prog_load(ProgType.XDP, bpf.exit_with(verdict), name=name)
        for verdict, name in ((DROP, "ebpftop_test"), (PASS, "foreign"))
    ]
    yield fds[0], fds[1]
    for fd in fds:
        os.close(fd)


def _programs(ifindex: int) -> tuple[tuple[str, int], ...]:
    link = route.link(ifindex)
    assert link is not None
    return link.xdp_programs


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_attached_it_works_and_detached_it_is_gone(mode: str, programs: tuple[int, int]) -> None:
    """While a dropping program is attached, the stack gets none of the frames."""
    _, index = veth()
    before = run("ip", "-d", "link", "show", "v1")
    id = xdp_attach(index, programs[0], mode)
    assert _programs(index) == ((mode, id),)
    send("v0", 10)
    link = route.link(index)
    assert link is not None
    assert link.rx_packets == 10
    assert xdp_detach(index, mode, id) is True
    assert run("ip", "-d", "link", "show", "v1") == before
    assert xdp_detach(index, mode, id) is False


@pytest.mark.parametrize(
    ("there", "ours", "errno"),
    [
        ("native", "native", EBUSY),
        ("native", "generic", EEXIST),
        ("generic", "generic", EBUSY),
        ("generic", "native", EEXIST),
    ],
)
def test_a_foreign_program_is_never_replaced(
    there: str, ours: str, errno: int, programs: tuple[int, int]
) -> None:
    index, _ = veth()
    mine, foreign = programs
    id = bpf.prog_info(foreign).id
    option = {"native": "xdpdrv", "generic": "xdpgeneric"}[there]
    run("bpftool", "net", "attach", option, "id", str(id), "dev", "v0")
    with pytest.raises(Busy, match=rf"foreign#{id} \({there}\)") as refused:
        xdp_attach(index, mine, ours)
    assert refused.value.errno == errno
    assert _programs(index) == ((there, id),)


def test_a_foreign_program_is_never_removed(programs: tuple[int, int]) -> None:
    """Neither one that was there, nor one that took the place of ours."""
    index, _ = veth()
    mine, foreign = programs
    id = xdp_attach(index, mine, "native")
    other = bpf.prog_info(foreign).id
    run("bpftool", "net", "attach", "xdpdrv", "id", str(other), "dev", "v0", "overwrite")
    assert xdp_detach(index, "native", id) is False
    assert _programs(index) == (("native", other),)


def test_refusals_say_what_the_kernel_said(programs: tuple[int, int]) -> None:
    with pytest.raises(Unsupported, match="native XDP") as refused:
        xdp_attach(1, programs[0], "native")  # lo
    assert refused.value.errno == EOPNOTSUPP
    with pytest.raises(Gone):
        xdp_attach(1 << 20, programs[0], "generic")
    assert xdp_detach(1 << 20, "generic", 1) is False


def test_it_works_from_any_thread(programs: tuple[int, int]) -> None:
    """As the screen's workers call it."""
    index, _ = veth()
    ids: list[int] = []
    worker = threading.Thread(target=lambda: ids.append(xdp_attach(index, programs[0], "native")))
    worker.start()
    worker.join()
    assert _programs(index) == (("native", ids[0]),)
    assert xdp_detach(index, "native", ids[0]) is True
