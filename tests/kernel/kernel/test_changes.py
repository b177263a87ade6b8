"""Changes by netlink: they can be undone wherever we are, with hardly a file left."""

from __future__ import annotations

from collections.abc import Iterator
from errno import EEXIST, ENODEV, ENOENT

import pytest

from probes.errors import ProbeError, passing
from probes.kernel.netlink import changes, clsact
from tests.support.namespaces import namespace, run, veth
from tests.support.shortage import files_left, open_files

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]


@pytest.fixture(autouse=True)
def _inside() -> Iterator[None]:
    with namespace():
        yield


@pytest.mark.parametrize("files", range(4))
def test_a_change_takes_one_file_and_leaves_none(files: int) -> None:
    index, _ = veth()
    before = open_files()
    with files_left(files):
        if files:
            assert changes.add_clsact(index) == (0, "")
            assert changes.add_clsact(index)[0] == EEXIST
            assert changes.remove_clsact(index) == (0, "")
        else:
            with pytest.raises(ProbeError) as raised:
                changes.add_clsact(index)
            assert passing(raised.value)
    assert open_files() == before


async def test_a_change_can_be_made_where_an_event_loop_runs() -> None:
    """As at the end of a program that can have no more threads."""
    index, _ = veth()
    assert changes.add_clsact(index) == (0, "")
    assert clsact.remove_qdisc(index)
    assert "clsact" not in run("tc", "qdisc", "show", "dev", "v0")


def test_what_is_not_there_has_its_errno() -> None:
    index, _ = veth()
    assert changes.add_clsact(9999)[0] == ENODEV
    assert changes.remove_clsact(index)[0] in (ENOENT, 22)
    assert changes.set_xdp(9999, -1, 0)[0] == ENODEV


def test_the_port_of_a_wireguard_interface_is_found() -> None:
    assert changes.wireguard_port("nosuch") is None
    try:
        run("ip", "link", "add", "wg0", "type", "wireguard")
        run("wg", "set", "wg0", "listen-port", "51820")
    except Exception as none:
        pytest.skip(f"no WireGuard here: {none}")
    assert changes.wireguard_port("wg0") == 51820
