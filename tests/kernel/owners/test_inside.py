"""Looking from inside a network namespace: by --netns, ip netns exec and nsenter."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from probes.kernel import procfs
from probes.kernel.net_namespaces import of_process
from probes.kernel.threads import in_own_thread
from probes.owners import enter_netns
from probes.owners.processes import ProcessOwners
from tests.support import containers
from tests.support.commands import NOBODY, ebpftop
from tests.support.namespaces import run

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]
NAME = f"ebpftop-{os.getpid()}"
END = ("inside7", "type", "veth")
AT_START = ("--hook", "interfaces", "--hook", "cgroup-bytes", "--for", "0.2", "--json")


@pytest.fixture(autouse=True)
def _named() -> Iterator[None]:
    run("ip", "netns", "add", NAME)
    try:
        run("ip", "-n", NAME, "link", "add", *END, "peer", "name", "inside8")
        yield
    finally:
        run("ip", "netns", "del", NAME)


def _seen(*words: str, before: Sequence[str] = ()) -> Any:
    """What `once` shows: interfaces, and a hook that needs cgroup v2."""
    done = ebpftop(*words, before=before)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _is_inside(seen: Any, name: str = NAME) -> None:
    links, by_cgroup = seen["hooks"]
    assert {row["interface"] for row in links["rows"]} == {"lo", "inside7", "inside8"}
    assert by_cgroup["state"] == "attached", by_cgroup["refused"]
    assert (seen["host"], seen["netns"]) == (socket.gethostname(), name)


@pytest.mark.parametrize(
    "words",
    [("--netns", NAME, "once", *AT_START), ("once", *AT_START, f"--netns={NAME}")],
    ids=["before", "after"],
)
def test_by_name_before_and_after_the_command(words: tuple[str, ...]) -> None:
    _is_inside(_seen(*words))


def test_by_process() -> None:
    with containers.sleeping("ip", "netns", "exec", NAME) as pid:
        _is_inside(_seen("once", *AT_START, "--netns", str(pid)))


def test_by_the_name_that_a_namespace_without_one_is_shown_by() -> None:
    with containers.sleeping("unshare", "--net") as pid:
        name = f"netns of sleep[{pid}]"
        seen = _seen("once", "--hook", "interfaces", "--json", "--netns", name)
    assert (seen["netns"], len(seen["hooks"][0]["rows"])) == (name, 1)


def test_by_a_container_s_name(podman_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Podman keeps it; the thread that enters has another number for it."""
    monkeypatch.setattr(enter_netns, "shared", ProcessOwners())

    def inside() -> tuple[int, str]:
        enter_netns.enter("web-1")
        return procfs.netns(), enter_netns.looked_from()

    with containers.podman(podman_folder, "web-1") as pid:
        assert in_own_thread(inside) == (of_process(pid), "web-1")


@pytest.mark.parametrize(
    "how",
    [("ip", "netns", "exec", NAME), ("nsenter", f"--net=/run/netns/{NAME}")],
    ids=["ip-netns-exec", "nsenter"],
)
def test_other_tools_take_it_there(how: tuple[str, ...]) -> None:
    """Cgroup v2 is found also below ip-netns(8), which mounts another /sys."""
    _is_inside(_seen("once", *AT_START, before=how))


def test_from_the_host_it_is_the_host_s() -> None:
    for words in ((), ("--netns", "host")):
        seen = _seen("once", "--hook", "interfaces", "--json", *words)
        assert seen["netns"] is None
        assert "inside7" not in {row["interface"] for row in seen["hooks"][0]["rows"]}


def test_the_doctor_looks_from_inside() -> None:
    """A hook's target is an interface there; here it has none of that name."""
    asked = ("doctor", "--json", "--hook", "tc-ingress@inside7")
    done = ebpftop(*asked, "--netns", NAME)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["netns"], said["hooks"][0]["target"]) == (NAME, "inside7")
    assert said["hooks"][0]["predicted"]
    outside = ebpftop(*asked)
    assert outside.stderr == "ebpftop: there is no interface inside7.\n"


def test_an_interface_is_looked_for_inside() -> None:
    words = ("once", "--hook", "interfaces", "-i", "inside7", "--json")
    seen = _seen(*words, "--netns", NAME)
    assert [row["interface"] for row in seen["hooks"][0]["rows"]] == ["inside7"]


@pytest.mark.parametrize(
    ("words", "said", "status"),
    [
        (("once", "--netns", f"{NAME}x"), f"there is no network namespace '{NAME}x'; similar", 2),
        (("once", "--netns", "999999999"), "there is no process 999999999", 2),
        (("findings", "--netns", "../../etc"), "there is no network namespace '../../etc'", 2),
        (("once", "--netns", ""), "argument --netns: give the name of a network namespace", 2),
        (("demo", "--netns", NAME), "`demo` does not take --netns", 2),
        (("replay", "x.rec", "--netns", NAME), "`replay` does not take --netns", 2),
        (("doctor", "--netns", f"{NAME}x"), f"there is no network namespace '{NAME}x'; similar", 2),
        (("serve", "--netns", f"{NAME}x"), f"there is no network namespace '{NAME}x'; similar", 2),
    ],
    ids=["no name", "no process", "a path", "nothing", "demo", "replay", "doctor", "serve"],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_a_sentence(
    words: tuple[str, ...], said: str, status: int
) -> None:
    done = ebpftop(*words)
    assert done.stderr.startswith(f"ebpftop: {said}")
    assert (done.returncode, done.stderr.count("\n")) == (status, 1)


def test_without_privilege_it_says_what_it_takes() -> None:
    done = ebpftop("once", "--netns", NAME, before=NOBODY)
    assert done.stderr == (
        f"ebpftop: the network namespace of '{NAME}' may not be entered by this user. "
        "Run as root (sudo), or grant CAP_SYS_ADMIN.\n"
    )
    assert done.returncode == 1
