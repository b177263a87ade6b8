"""The RPM package: its spec, and one that is built and looked into; set-up without apt."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from packages import rpm
from packages.versions import ROOT

SPEC = rpm.SPEC.read_text()
CONTROL = (ROOT / "packages/files/debian/control").read_text()


def test_it_needs_what_the_debian_package_needs() -> None:
    needed = dict(re.findall(r"^Requires: +(\S+)(?: >= (\S+))?$", SPEC, re.MULTILINE))
    (line,) = re.findall(r"^Depends: (.*)$", CONTROL, re.MULTILINE)
    names = {"python3-bpfcc": "python3-bcc", "libbpf1": "libbpf"}
    theirs = {}
    for one in line.replace(" python3:any,", "").split(", "):
        name, _, version = one.rstrip(")").partition(" (>= ")
        theirs[names.get(name, name)] = version.removeprefix("1:")
    assert needed == theirs


def test_it_says_of_itself_what_the_debian_package_says() -> None:
    told = SPEC.partition("%description\n")[2].partition("\n\n#")[0]
    theirs = re.findall(r"^ (.*)$", CONTROL, re.MULTILINE)
    assert [line or "." for line in told.strip().splitlines()] == theirs[:-2]


def test_folders_of_others_are_not_claimed(tmp_path: Path) -> None:
    for name in ("usr/bin/ebpftop", "usr/share/ebpftop/rich/table.py", "etc/ebpftop/settings.toml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [*rpm.files(tmp_path)] == [
        "%defattr(-,root,root)",
        "%dir /etc/ebpftop",
        "%config(noreplace) /etc/ebpftop/settings.toml",
        "/usr/bin/ebpftop",
        "%dir /usr/share/ebpftop",
        "%dir /usr/share/ebpftop/rich",
        "/usr/share/ebpftop/rich/table.py",
    ]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("rpmbuild") is None, reason="there is no rpmbuild")
def test_it_is_built(tmp_path: Path) -> None:
    file = rpm.build_into(tmp_path)
    asked = ["rpm", "-qlp", "--dbpath", str(tmp_path / "db"), str(file)]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    names = done.stdout.splitlines()
    assert {"/usr/bin/ebpftop", "/usr/share/zsh/site-functions/_ebpftop"} <= set(names)
    assert "/usr/share/ebpftop/textual/app.py" in names
    assert "/usr" not in names


@pytest.mark.parametrize(
    ("manager", "said"),
    [
        ("dnf", "dnf install python3-bcc libbpf"),
        ("zypper", "zypper install python3-bcc libbpf1"),
        ("pacman", "pacman -S python-bcc libbpf"),
        ("apk", "apk add py3-bcc libbpf"),
    ],
)
def test_set_up_without_apt_names_the_packages_and_installs_nothing(
    manager: str, said: str, tmp_path: Path
) -> None:
    for tool in ("bash", "dirname", "mktemp", "rm"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    (tmp_path / manager).write_text("#!/bin/false\n")
    (tmp_path / manager).chmod(0o755)
    done = subprocess.run(
        [str(tmp_path / "bash"), str(ROOT / ".ci/packages"), "python3-bpfcc"],
        env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.endswith(f"setup: as root: {said} (untested)\n")
    assert said in (ROOT / "docs/guide/install.md").read_text()
