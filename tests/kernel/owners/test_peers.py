"""Both ends of real veth pairs: which interface and which network namespace the other one is."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping

import pytest

from probes.kernel.net_namespaces import inside, of_process
from probes.kernel.netlink import nsid, route
from probes.owners.peers import Peer, Peers
from tests.support import containers
from tests.support.namespaces import namespace, run

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]


@pytest.fixture(autouse=True)
def _apart() -> Iterator[None]:
    with namespace():
        yield


def _found(peers: Peers) -> Mapping[str, Peer]:
    """What is known once all ends are: a walk over all processes takes turns."""
    while True:
        links = route.links()
        known = peers.of(links)
        veths = [link for link in links if link.kind == "veth"]
        if all(link.ifindex in known for link in veths):
            return {link.name: known[link.ifindex] for link in veths}
        time.sleep(0.1)


def test_the_other_end_is_in_a_container() -> None:
    with containers.sleeping("unshare", "--net") as pid:
        end = ("type", "veth", "peer", "name", "eth0", "netns", str(pid))
        run("ip", "link", "add", "veth1", *end)
        (peer,) = _found(Peers()).values()
        assert str(peer) == f"eth0 in netns of sleep[{pid}]"
        assert peer.netns == of_process(pid)
        assert peer.ifindex == inside(pid, peer.netns, lambda: route.named("eth0")).ifindex  # type: ignore[union-attr]


def test_both_ends_are_here() -> None:
    run("ip", "link", "add", "veth1", "type", "veth", "peer", "name", "veth2")
    found = _found(Peers())
    assert {name: str(peer) for name, peer in found.items()} == {"veth1": "veth2", "veth2": "veth1"}
    assert {peer.netns for peer in found.values()} == {None}


def test_a_veth_that_comes_is_found_at_once() -> None:
    peers = Peers()
    assert peers.of(route.links()) == {}
    run("ip", "link", "add", "veth1", "type", "veth", "peer", "name", "veth2")
    assert len(peers.of(route.links())) == 2


def test_a_namespace_without_a_link_to_it_has_no_number() -> None:
    with containers.sleeping("unshare", "--net") as pid:
        assert nsid.of_processes([pid, 0x7FFFFFF0, os.getpid()])[:2] == [None, None]
