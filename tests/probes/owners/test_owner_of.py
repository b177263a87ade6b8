"""Whose a cgroup is, from kept tables of cgroups and kept state files.

Made from the formats' documents, for runtimes that cannot run here (CRI-O's state, containerd's
CRI, Kubernetes' and systemd's paths: cgroups(7), systemd.slice(5), kubelet's cgroup drivers, CRI's
annotations), and for what Docker, which runs where its engine is installed, is not started with.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from probes.owners import (
    cgroup_path,
    containerd,
    crio,
    docker,
    machines,
    podman,
    state,
    state_files,
    users,
)
from probes.owners.owner import NamedOwner, owner_of

ID, OTHER = "4f1d" * 16, "0a9b" * 16


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No state but the test's own."""
    monkeypatch.setattr(docker, "ROOT", tmp_path / "docker")
    monkeypatch.setattr(docker, "SETTINGS", tmp_path / "daemon.json")
    monkeypatch.setattr(docker, "SNAP", tmp_path / "snap")
    monkeypatch.setattr(machines, "MACHINES", tmp_path / "machines")
    monkeypatch.setattr(podman, "SETTINGS", tmp_path / "storage.conf")
    monkeypatch.setattr(podman, "GRAPH_ROOT", tmp_path / "graph")
    monkeypatch.setattr(podman, "RUN_ROOT", tmp_path / "run")
    monkeypatch.setattr(containerd, "TASKS", (tmp_path / "tasks",))
    monkeypatch.setattr(crio, "ROOTS", (tmp_path / "run",))
    monkeypatch.setattr(users, "PASSWD", tmp_path / "passwd")
    (tmp_path / "passwd").write_text(f"alice:x:1000:1000::{tmp_path}/home:/bin/sh\n")


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _of(*lines: str) -> NamedOwner:
    return owner_of(cgroup_path.parsed("\n".join(lines).encode()))


def _docker(folder: Path, id: str = ID, name: str = "/web", **labels: str) -> None:
    config = {"Name": name, "Config": {"Labels": labels}}
    _write(folder / "docker/containers" / id / "config.v2.json", config)


@pytest.mark.parametrize(
    "table",
    [
        f"0::/system.slice/docker-{ID}.scope",
        f"0::/docker/{ID}",
        f"0::/../../docker/{ID}",
        f"0::/custom/{ID}",
        f"0::/docker/{ID}/init.scope",
        f"0::/docker/{ID} (deleted)",
        f"12:memory:/docker/{ID}\n1:name=systemd:/docker/{ID}\n0::/",
        f"1:name=systemd:/docker/{ID}\n0::/system.slice/containerd.service",
        f"4:memory:/docker/{ID}\n2:cpu,cpuacct:/docker/{ID}",
    ],
)
def test_docker(tmp_path: Path, table: str) -> None:
    """By version 2, a hybrid host's and version 1; by both cgroup drivers."""
    _docker(tmp_path)
    assert _of(table).container == "web"


def test_a_container_s_own_scope_is_no_unit(tmp_path: Path) -> None:
    _docker(tmp_path)
    assert _of(f"0::/system.slice/docker-{ID}.scope") == NamedOwner("web")
    inside = f"0::/system.slice/docker-{ID}.scope/system.slice/nginx.service"
    assert _of(inside) == NamedOwner("web", "nginx.service")


def test_docker_s_other_folder(tmp_path: Path) -> None:
    _write(tmp_path / "daemon.json", {"data-root": str(tmp_path / "big")})
    _write(tmp_path / "big/containers" / ID / "config.v2.json", {"Name": "/db"})
    assert _of(f"0::/docker/{ID}").container == "db"


def test_docker_with_other_users_numbers_and_as_a_snap(tmp_path: Path) -> None:
    """userns-remap has a folder for them below the daemon's."""
    _write(tmp_path / "docker/165536.165536/containers" / ID / "config.v2.json", {"Name": "/web"})
    _write(tmp_path / "snap/containers" / OTHER / "config.v2.json", {"Name": "/db"})
    assert _of(f"0::/system.slice/docker-{ID}.scope").container == "web"
    assert _of(f"0::/docker/{OTHER}").container == "db"


def test_a_name_that_may_not_be_read_is_the_id_that_its_tool_shows() -> None:
    assert _of(f"0::/docker/{ID}") == NamedOwner(ID[:12], "", sure=False)


def test_a_container_in_a_container_is_the_innermost_that_has_a_name(tmp_path: Path) -> None:
    _docker(tmp_path, name="/node")
    inner = f"0::/docker/{ID}/kubelet.slice/cri-containerd-{OTHER}.scope"
    assert _of(inner).container == "node"
    _docker(tmp_path, OTHER, "/inner")
    assert _of(f"0::/docker/{ID}/docker/{OTHER}").container == "inner"


def _bundle(folder: Path, **annotations: str) -> None:
    found = {name.replace("__", ".").replace("_", "-"): v for name, v in annotations.items()}
    _write(folder / "config.json", {"ociVersion": "1.0.2", "annotations": found})


_POD = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice"
_CRI = {
    "io__kubernetes__cri__sandbox_namespace": "shop",
    "io__kubernetes__cri__sandbox_name": "cart-7d9f",
}


@pytest.mark.parametrize(
    "path", [f"/{_POD}/cri-containerd-{ID}.scope", f"/kubepods/burstable/pod1/{ID}"]
)
def test_a_pod_of_containerd(tmp_path: Path, path: str) -> None:
    folder = tmp_path / "tasks/k8s.io" / ID
    _bundle(
        folder,
        io__kubernetes__cri__container_type="container",
        io__kubernetes__cri__container_name="app",
        **_CRI,
    )
    assert _of(f"0::{path}") == NamedOwner("shop/cart-7d9f/app")
    _bundle(folder, io__kubernetes__cri__container_type="sandbox", **_CRI)
    assert _of(f"0::{path}") == NamedOwner("shop/cart-7d9f")


def test_a_pod_of_cri_o(tmp_path: Path) -> None:
    found = {
        "io.kubernetes.pod.namespace": "shop",
        "io.kubernetes.pod.name": "cart-7d9f",
        "io.kubernetes.container.name": "app",
        "io.kubernetes.cri-o.ContainerType": "container",
    }
    config = tmp_path / "run/overlay-containers" / ID / "userdata/config.json"
    _write(config, {"annotations": found})
    assert _of(f"0::/{_POD}/crio-{ID}.scope").container == "shop/cart-7d9f/app"


@pytest.mark.parametrize(
    ("made", "name"),
    [
        ({"ContainerType": "sandbox", "Name": "k8s_cart_shop_0f1e_0"}, "shop/cart"),
        ({"ContainerType": "container", "Name": "k8s_app_cart_shop_0f1e_0"}, "shop/cart/app"),
        ({"ContainerType": "container", "Name": "app"}, ID[:12]),
        ({}, ID[:12]),
    ],
)
def test_a_pod_that_no_kubelet_made(tmp_path: Path, made: dict[str, str], name: str) -> None:
    """Of crictl: without labels."""
    config = tmp_path / "run/overlay-containers" / ID / "userdata/config.json"
    _write(config, {"annotations": {f"io.kubernetes.cri-o.{n}": v for n, v in made.items()}})
    assert _of(f"0::/kubepods.slice/crio-{ID}.scope").container == name


@pytest.mark.parametrize(
    "path",
    [f"/{_POD}/cri-containerd-{ID}.scope", f"/kubepods/pod1/kata_{ID}", f"/kata_overhead/{ID}"],
)
def test_kata_containers(tmp_path: Path, path: str) -> None:
    """The virtual machine has the sandbox's cgroup, or one that is named after it."""
    _bundle(tmp_path / "tasks/k8s.io" / ID, io__kubernetes__cri__container_type="sandbox", **_CRI)
    assert _of(f"0::{path}").container == "shop/cart-7d9f"


def test_the_monitor_of_a_container_is_not_in_it(tmp_path: Path) -> None:
    _write(tmp_path / "graph/overlay-containers/containers.json", [{"id": ID, "names": ["web"]}])
    for path in (
        f"/machine.slice/libpod-conmon-{ID}.scope",
        f"/{_POD}/crio-conmon-{ID}.scope",
        "/lxc.monitor.mail",
    ):
        assert _of(f"0::{path}").container == ""


def test_a_step_of_a_build() -> None:
    """It has an id and no name."""
    step = "k3x0u7q2m1vwz9y8abcd12345"
    for path in ("buildkit/", "docker/buildkit/", "system.slice/docker-"):
        end = ".scope" if path.endswith("-") else ""
        assert _of(f"0::/{path}{step}{end}").container == f"build step {step[:12]}"
    assert _of(f"0::/docker/{step}").container == ""


def test_a_pod_of_docker(tmp_path: Path) -> None:
    labels = {"pod.namespace": "shop", "pod.name": "cart", "container.name": "app"}
    _docker(tmp_path, **{f"io.kubernetes.{name}": value for name, value in labels.items()})
    assert _of(f"0::/{_POD}/docker-{ID}.scope").container == "shop/cart/app"


def test_ctr_and_nerdctl(tmp_path: Path) -> None:
    _bundle(tmp_path / "tasks/default/cache")
    assert _of("0::/default/cache").container == "cache"
    _write(tmp_path / "tasks/default" / ID / "config.json", {"annotations": {"nerdctl/name": "x"}})
    assert _of(f"0::/system.slice/nerdctl-{ID}.scope").container == "x"
    assert _of("0::/default/other") == NamedOwner()
    assert _of(f"0::/default/{ID}").container == "x"


def test_a_container_of_docker_is_called_as_docker_does(tmp_path: Path) -> None:
    """Its containerd knows it, too, in the namespace moby, without a name."""
    _bundle(tmp_path / "tasks/moby" / ID)
    _docker(tmp_path)
    assert _of(f"0::/system.slice/docker-{ID}.scope").container == "web"


def test_a_pod_of_podman_is_no_container(tmp_path: Path) -> None:
    """Its cgroup is called by its id, above those of its containers."""
    path = f"0::/libpod_parent/{OTHER}/libpod-{ID}"
    assert _of(path).container == ID[:12]
    _write(tmp_path / "graph/overlay-containers/containers.json", [{"id": ID, "names": ["web"]}])
    assert _of(path).container == "web"
    assert _of(f"0::/machine.slice/machine-libpod_pod_{OTHER}.slice/libpod-{ID}.scope") == (
        NamedOwner("web")
    )


def test_podman(tmp_path: Path) -> None:
    lists = tmp_path / "graph/overlay-containers/containers.json"
    _write(lists, [{"id": ID, "names": ["web"]}])
    assert _of(f"0::/machine.slice/libpod-{ID}.scope/container") == NamedOwner("web")
    _write(tmp_path / "run/overlay-containers/volatile-containers.json", [
        {"id": OTHER, "names": ["brief"]}
    ])  # fmt: skip
    quadlet = f"0::/system.slice/web.service/libpod-payload-{OTHER}"
    assert _of(quadlet) == NamedOwner("brief", "web.service")
    _write(lists, [{"id": ID, "names": ["renamed"]}])
    assert _of(f"0::/libpod_parent/libpod-{ID}").container == "renamed"


_USERS = "user.slice/user-1000.slice/user@1000.service"


def test_a_user_s_own_containers_are_those_of_the_home_and_no_others(tmp_path: Path) -> None:
    """A cgroup below a user's slice is called as the user likes: it is nobody else's container."""
    _docker(tmp_path, name="/bank")
    _write(tmp_path / "graph/overlay-containers/containers.json", [{"id": ID, "names": ["bank"]}])
    path = f"0::/{_USERS}/user.slice/libpod-{ID}.scope/container"
    assert _of(path).container == ID[:12]
    assert _of(f"0::/{_USERS}/docker-{ID}.scope").container == ID[:12]
    assert _of(f"0::/{_USERS}/crio-{ID}.scope").container == ID[:12]
    _bundle(tmp_path / "tasks/default/cache")
    assert _of(f"0::/{_USERS}/default/cache").container == ""
    home = tmp_path / "home/.local/share/containers/storage/overlay-containers/containers.json"
    _write(home, [{"id": ID, "names": ["mine"]}])
    assert _of(path) == NamedOwner("mine", "user@1000.service (alice)")


@pytest.mark.parametrize(
    ("table", "unit"),
    [
        ("0::/system.slice/nginx.service", "nginx.service"),
        ("0::/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service"),
        ("0::/user.slice/user-1000.slice/session-3.scope", "session-3.scope (alice)"),
        ("0::/user.slice/user-7.slice/session-4.scope", "session-4.scope (7)"),
        (f"0::/{_USERS}/app.slice/editor.service", "editor.service (alice)"),
        ("0::/system.slice/run-u12.scope", "run-u12.scope"),
        (f"0::/{_USERS}/app.slice/run-r5.scope", "run-r5.scope (alice)"),
        ("0::/init.scope", "init.scope"),
        ("0::/system.slice", ""),
        ("0::/", ""),
        ("1:name=systemd:/system.slice/ssh.service\n0::/", "ssh.service"),
        ("4:memory:/made.service\n1:name=systemd:/\n0::/", ""),
        ("", ""),
        ("nonsense", ""),
    ],
)
def test_units(table: str, unit: str) -> None:
    assert _of(table) == NamedOwner("", unit)


def test_machines() -> None:
    assert _of(r"0::/machine.slice/machine-web\x2d1.scope/payload").container == "web-1"
    assert _of("0::/machine.slice/systemd-nspawn@db.service/payload").container == "db"
    assert _of("0::/lxc.payload.mail/init.scope").container == "mail"
    assert _of("0::/lxc/mail").container == "mail"
    assert _of(r"0::/machine.slice/machine-caf\xc3\xa9.scope").container == "café"
    assert _of("0::/machine.slice/web.scope/payload").container == "web", "not registered"
    assert _of("0::/system.slice/machine-web.scope").container == ""


def test_a_machine_in_a_unit_of_another_name_is_what_machined_says(tmp_path: Path) -> None:
    """/run/systemd/machines/NAME, as systemd writes it."""
    folder = tmp_path / "machines"
    folder.mkdir()
    unit = r"my\x2dmachine.service"
    said = "# This is private data. Do not parse.\nNAME={}\nSCOPE={}\nSERVICE=systemd-nspawn\n"
    (folder / "web").write_text(said.format("web", unit.replace("\\", "\\" * 2)))
    (folder / f"unit:{unit}").symlink_to("web")
    assert _of(f"0::/system.slice/{unit}/payload") == NamedOwner("web")
    assert _of("0::/system.slice/other.service").container == ""
    (folder / "db").write_text(said.format("db", "other.service"))
    assert _of("0::/system.slice/other.service").container == "db"


def test_a_name_that_a_container_s_root_made_up_is_not_told(tmp_path: Path) -> None:
    """Whoever may make cgroups in a container can call them like another machine."""
    _docker(tmp_path)
    for below in ("machine.slice/machine-bank.scope", "lxc.payload.bank", "lxc/bank"):
        assert _of(f"0::/docker/{ID}/{below}").container == "web"
    assert _of("0::/lxc.payload.mail/machine.slice/machine-bank.scope").container == "mail"


HOSTILE = ("/\x1b[2J\t\n", "x" * 5000, 7, None, {"a": 1}, "\udcff")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_printable_and_short(tmp_path: Path, name: object) -> None:
    _write(tmp_path / "docker/containers" / ID / "config.v2.json", {"Name": name})
    container = _of(f"0::/docker/{ID}").container
    assert container.isprintable()
    assert len(container) < 200


@pytest.mark.parametrize("content", [b"", b"[", b"[[" * 9000, b"\xff\xfe", b"3", b'{"Name": "/x"'])
def test_broken_files_name_nothing(tmp_path: Path, content: bytes) -> None:
    for path in (
        tmp_path / "docker/containers" / ID / "config.v2.json",
        tmp_path / "graph/overlay-containers/containers.json",
        tmp_path / "tasks/k8s.io" / ID / "config.json",
        tmp_path / "daemon.json",
        tmp_path / "storage.conf",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert _of(f"0::/docker/{ID}").container == ID[:12]


def test_what_is_no_regular_file_or_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert state_files.read(tmp_path / "fifo") == b""
    assert state_files.read(tmp_path) == b""
    (tmp_path / "large").write_bytes(b"12345")
    monkeypatch.setattr(state_files, "MOST_BYTES", 4)
    assert state_files.read(tmp_path / "large") == b""


def test_state_that_is_there_and_not_readable_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert state.unreadable() == {}, "what is not there is not missing"
    _docker(tmp_path)
    assert state.unreadable() == {}
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may read anything
    assert state.unreadable()["Docker"] == tmp_path / "docker"
