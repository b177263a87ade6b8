"""The Debian package: what its parts say, and one that is built and looked into."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from packages import carried, deb, tree
from packages.versions import ROOT, Build
from probes.attach import journal
from probes.compile import bundle, headers
from tui.config import in_force, settings

BUILD = Build("1.2.0", "0123456789abcdef0123456789abcdef01234567", 1_700_000_000, True, True)
UNIT = (tree.FILES / "ebpftop-export.service").read_text()


def _fields(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z][\w-]*): (.*)$", text, re.MULTILINE))


def test_control_asks_for_what_is_not_carried() -> None:
    told = _fields(deb.control(BUILD, 12))
    assert (told["Version"], told["Architecture"]) == ("1.2.0", "all")
    assert told["Installed-Size"] == "12"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"python3 ({project['requires-python'].replace('>=', '>= ')})" in told["Depends"]
    least = dict(re.findall(r"^(\w+)>=([\d.]+)", "\n".join(project["dependencies"]), re.MULTILINE))
    assert f"python3-numpy (>= 1:{least['numpy']})" in told["Depends"]
    assert f"python3-psutil (>= {least['psutil']})" in told["Depends"]
    assert {"python3-bpfcc", "libbpf1"} <= set(told["Depends"].split(", "))


def test_everything_that_is_carried_has_its_owner_and_licence() -> None:
    libraries = carried.needed(tree.THEIRS)
    text = deb.copyright(libraries)
    for library in libraries:
        assert f"Comment: {library.name} {library.version}," in text
    assert "Copyright: \n" not in text
    assert "see the library's own text" not in text


@pytest.mark.parametrize("name", [*deb.SCRIPTS, "rtupdate"])
def test_a_maintainer_script_is_one_that_sh_reads(name: str) -> None:
    subprocess.run(["sh", "-n", str(deb.DEBIAN / name)], check=True)
    assert (deb.DEBIAN / name).read_text().splitlines()[1:3].count("set -e") == 1


def test_a_purge_removes_every_folder_that_root_s_ebpftop_writes_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    cache = headers.cache_base()
    places = [journal.RUN, bundle.PLACE.parent, cache, Path(f"{cache}-compiled")]
    removed = re.findall(r"rm -rf (.*)", (deb.DEBIAN / "postrm").read_text())
    assert {str(place) for place in places} <= set(" ".join(removed).split())


def test_what_the_host_settings_show_are_settings(tmp_path: Path) -> None:
    text = (tree.FILES / "settings.toml").read_text()
    assert str(in_force.HOST).endswith(tree.COPIED["settings.toml"])
    file = tmp_path / "settings.toml"
    file.write_text(text)
    assert settings.load(file) == settings.Settings(), "all of it is commented out"
    file.write_text(re.sub(r"^# (?=[a-z-]+ = |\[)", "", text, flags=re.MULTILINE))
    found = settings.load(file)
    assert (found.problems, found.interval, found.pane) == ((), 1.0, "overview")
    assert len(found.ordinary) == 1


def test_the_unit_is_not_root_and_may_do_no_more_than_it_needs() -> None:
    told = dict(re.findall(r"^(\w+)=(.*)$", UNIT, re.MULTILINE))
    assert told["DynamicUser"] == told["NoNewPrivileges"] == "yes"
    assert told["AmbientCapabilities"] == told["CapabilityBoundingSet"]
    assert told["ExecStart"].startswith(f"/{tree.COPIED['ebpftop']} export")
    assert told["EnvironmentFile"] == f"-/{tree.COPIED['ebpftop-export.default']}"


needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="there is no dpkg-deb")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("deb") / "root"
    root.mkdir()
    deb.make(root, BUILD)
    return root


@pytest.mark.slow
def test_the_command_runs_with_what_is_carried_alone(root: Path, tmp_path: Path) -> None:
    """From another place than the package's; numpy and psutil are the host's."""
    code = (root / "usr/bin/ebpftop").read_text()
    command = tmp_path / "ebpftop"
    command.write_text(code.replace("/usr/share/ebpftop", str(root / tree.PRIVATE)))
    done = subprocess.run(
        [sys.executable, "-IB", str(command), "hooks"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("interfaces\n")


@pytest.mark.slow
def test_it_holds_what_a_package_has_and_every_date_is_the_build_s(root: Path) -> None:
    places = [*tree.COPIED.values(), *tree.COMPLETIONS.values(), deb.RUNTIME]
    places += ["usr/share/man/man1/ebpftop.1.gz", "usr/share/ebpftop/textual/app.py"]
    assert [place for place in places if not (root / place).is_file()] == []
    conffiles = (root / "DEBIAN/conffiles").read_text().splitlines()
    assert conffiles == ["/etc/default/ebpftop-export", "/etc/ebpftop/settings.toml"]
    assert {int(path.stat().st_mtime) for path in root.rglob("*")} == {BUILD.epoch}


@pytest.mark.slow
@needs_dpkg
def test_it_is_the_same_bytes_whenever_it_is_built(root: Path, tmp_path: Path) -> None:
    again = tmp_path / "root"
    again.mkdir()
    deb.make(again, BUILD)
    assert deb.packed(again, tmp_path / "again.deb", BUILD).read_bytes() == (
        deb.packed(root, tmp_path / "first.deb", BUILD).read_bytes()
    )
    told = subprocess.run(
        ["dpkg-deb", "--info", str(tmp_path / "first.deb")], capture_output=True, text=True,
        check=True, env=os.environ | {"LC_ALL": "C"},
    )  # fmt: skip
    assert "Package: ebpftop" in told.stdout
