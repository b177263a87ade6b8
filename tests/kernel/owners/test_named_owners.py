"""Real containers and network namespaces have the names that their own tools show."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from probes.hooks import catalogue
from probes.kernel import procfs
from probes.kernel.net_namespaces import of_process
from probes.owners import containerd, docker, owner_columns
from probes.owners.owner_columns import NAMES, log_with_owners, with_owners
from probes.owners.processes import NOBODY, ProcessOwner, ProcessOwners
from tests.support import containers
from tests.support.namespaces import as_json, run

pytestmark = [pytest.mark.kernel, pytest.mark.anywhere]


def _owner(pid: int) -> ProcessOwner:
    return ProcessOwners().of_all([pid])[0]


def test_podman(podman_folder: Path) -> None:
    """A container and its network namespace are called as podman(1) does, also when it has gone."""
    owners = ProcessOwners()
    with containers.podman(podman_folder, "web-1") as pid:
        inode = of_process(pid)
        assert owners.of_all([pid]) == [ProcessOwner("web-1", None, "web-1")]
        assert owners.namespaces([inode]) == ["web-1"]
        assert containers.podman_names(podman_folder) == {pid: "web-1"}
    assert owners.of_all([pid]) == [ProcessOwner("web-1", None, "web-1")]
    assert owners.namespaces([inode]) == ["web-1"]


def test_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its engine is installed; what its state says elsewhere is kept (test_owner_of)."""
    monkeypatch.setattr(docker, "ROOT", tmp_path / "data")
    monkeypatch.setattr(docker, "SETTINGS", tmp_path / "none")
    with containers.docker(tmp_path, "web-7") as pid:
        assert _owner(pid) == ("web-7", None, "web-7")


def test_containerd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container is called as ctr(1) does."""
    monkeypatch.setattr(containerd, "TASKS", (tmp_path / "state/io.containerd.runtime.v2.task",))
    with containers.containerd(tmp_path, "ebpftop-cache") as pid:
        assert _owner(pid) == ("ebpftop-cache", None, "ebpftop-cache")
        assert containers.ctr_names(tmp_path) == {pid: "ebpftop-cache"}


@pytest.mark.parametrize(
    ("told", "name"),
    [(("--machine=ebpftop-db",), "ebpftop-db"), ((), "fs")],
    ids=["told", "folder"],
)
def test_a_machine_that_nothing_registers(tmp_path: Path, told: tuple[str, ...], name: str) -> None:
    """It is called as systemd-nspawn(1) does: by its option, or by its folder."""
    owners = ProcessOwners()
    with containers.nspawn(tmp_path, *told) as pid:
        inode = of_process(pid)
        assert owners.of_all([pid])[0][0::2] == (name, name)
        assert owners.containers([inode]) == [name]
        assert _owner(procfs.parent(procfs.parent(pid)))[0] is None, "its host is not in it"
    assert owners.namespaces([inode]) == [name]


def test_a_namespace_that_has_a_name_is_called_by_it() -> None:
    run("ip", "netns", "add", "ebpftop-blue")
    try:
        with containers.sleeping("ip", "netns", "exec", "ebpftop-blue") as pid:
            assert _owner(pid)[2] == "ebpftop-blue"
        owners, inode = ProcessOwners(), Path("/run/netns/ebpftop-blue").stat().st_ino
        assert owners.namespaces([inode]) == ["ebpftop-blue"], "without a process"
    finally:
        run("ip", "netns", "del", "ebpftop-blue")
    assert owners.namespaces([inode]) == ["ebpftop-blue"], "it is remembered"


def test_names_agree_with_ip_netns_and_lsns() -> None:
    """Each that these list, as they call it, by the same number."""
    name = f"ebpftop-{os.getpid()}"
    run("ip", "netns", "add", name)
    try:
        with containers.sleeping("ip", "netns", "exec", name) as pid:
            owners = ProcessOwners()
            assert run("ip", "netns", "identify", str(pid)).split() == [
                owners.of_all([pid])[0].netns
            ]
            listed = as_json("lsns", "--json", "--type", "net", "--output", "NS,NSFS")["namespaces"]
            mounted = {int(one["ns"]): one["nsfs"] for one in listed if one.get("nsfs")}
            told = {inode: Path(path.split("\n")[0]).name for inode, path in mounted.items()}
            assert told[of_process(pid)] == name
            assert owners.namespaces([*told]) == [*told.values()]
            own = [int(one["ns"]) for one in listed if not one.get("nsfs")]
            assert of_process(os.getpid()) in own
    finally:
        run("ip", "netns", "del", name)


def test_a_namespace_without_a_name_is_that_of_its_oldest_process() -> None:
    with containers.sleeping("unshare", "--net") as pid:
        expected = f"netns of sleep[{pid}]"
        assert _owner(pid)[2] == expected
        owners = ProcessOwners()
        while owners.namespaces([of_process(pid)]) != [expected]:
            time.sleep(0.1)  # a walk over all processes takes turns


def test_this_process_is_of_the_host_and_in_no_container() -> None:
    container, _, namespace = _owner(os.getpid())
    assert (container, namespace) == (None, "host")


def test_what_does_not_exist_has_no_owner() -> None:
    owners = ProcessOwners()
    assert owners.of_all([0, -1, 1 << 40]) == [NOBODY] * 3
    assert owners.namespaces([0, 12]) == [None, None]


def test_without_privilege_what_can_be_read_is_named() -> None:
    """Nobody may look at another's network namespace, but at its cgroup."""
    root = Path(__file__).parents[3]
    code = "import os; os.setgid(65534); os.setuid(65534)\n"
    code += "from probes.owners.processes import ProcessOwners\n"
    code += f"print(ProcessOwners().of_all([{os.getpid()}])[0].netns)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(root)!r})\n"
         "import probes.owners.processes\n" + code],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "None\n"


_USED_AGAIN = """
import subprocess, sys
from pathlib import Path
from probes.owners.processes import ProcessOwners

def sleeping(*enter):
    child = subprocess.Popen([*enter, "sleep", "60"])
    while Path(f"/proc/{child.pid}/comm").read_text() != "sleep\\n":
        pass
    return child

owners = ProcessOwners()
first = sleeping("unshare", "--net")
subprocess.run(["true"])  # it is not the last number by then
(before,) = owners.of_all([first.pid])
first.kill()
first.wait()
Path("/proc/sys/kernel/ns_last_pid").write_text(str(first.pid - 1))
second = sleeping()
(then,) = owners.of_all([second.pid])
second.kill()
print(first.pid == second.pid, before.netns == f"netns of sleep[{first.pid}]", then.netns)
"""


def test_a_process_s_number_that_is_used_again_is_another_one_s_at_once() -> None:
    """In a pid namespace of its own, whose next number can be set."""
    if not Path("/proc/sys/kernel/ns_last_pid").exists():
        pytest.skip("this kernel cannot be told the next number (CONFIG_CHECKPOINT_RESTORE)")
    before = ("unshare", "--pid", "--fork", "--mount-proc")
    done = subprocess.run(
        [*before, sys.executable, "-c", _USED_AGAIN],
        cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "True True host\n", done.stderr


def test_a_log_says_whose_it_is_also_of_one_that_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the cgroup that a row of the same reading has."""
    web = ProcessOwner("web", None, None)
    monkeypatch.setattr(ProcessOwners, "of_cgroup_ids", lambda _, ids: [web for _ in ids])
    monkeypatch.setattr(owner_columns, "shared", ProcessOwners())
    hook = catalogue()["tcp-connect"]
    gone = 1 << 22
    names, logged = hook.places.names, [column.name for column in hook.log]
    row = tuple({"pid": gone, "cgroup_id": 1}.get(name) for name in names[: -len(NAMES)])
    entry = tuple({"pid": gone}.get(name) for name in logged[: -len(NAMES)])
    assert log_with_owners(hook, [entry])[0][-3:] == (None, None, None)
    list(with_owners(hook, [row]))
    assert log_with_owners(hook, [entry])[0][-3:] == web
