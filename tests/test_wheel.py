"""What is installed: one top-level package, and nobody else's `tui` or `probes` in its way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from docs import release

ROOT = Path(__file__).parents[1]
RUN = "import sys; sys.path.insert(0, sys.argv.pop(1)); import ebpftop; sys.exit(ebpftop.main())"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = place.glob("*.whl")
    return built


def test_it_holds_one_top_level_package(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {n.split("/")[0] for n in names if ".dist-info/" not in n} == {"ebpftop"}
    assert {"ebpftop/themes/dark.toml", "ebpftop/probes/compile/include/hooks.h"} <= set(names)
    assert list(release.wrong_wheel(wheel)) == []
    ours = [path for end in ("c", "h") for path in (ROOT / "probes").rglob(f"*.{end}")]
    assert {f"ebpftop/{path.relative_to(ROOT)}" for path in ours} <= set(names)


@pytest.mark.slow
def test_the_sdist_is_enough_to_build_the_wheel(wheel: Path, tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build"]
    subprocess.run([*build, "-t", "sdist", "-d", str(tmp_path)], cwd=ROOT, check=True)
    (sdist,) = tmp_path.glob("*.tar.gz")
    shutil.unpack_archive(sdist, tmp_path)
    tree = tmp_path / sdist.name.removesuffix(".tar.gz")
    subprocess.run([*build, "-t", "wheel", "-d", str(tmp_path)], cwd=tree, check=True)
    again = zipfile.ZipFile(tmp_path / wheel.name)
    assert sorted(again.namelist()) == sorted(zipfile.ZipFile(wheel).namelist())


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Packages that raise when they are imported, under our names."""
    for name in ("tui", "probes", "themes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('not ours')")
    return tmp_path


def _runs(command: list[str], foreign: Path) -> None:
    done = subprocess.run(
        command,
        cwd=foreign,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(foreign)},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("interfaces\n")


def test_packages_of_our_names_on_the_path_do_not_matter(
    wheel: Path, foreign: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    site = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(wheel).extractall(site)
    _runs([sys.executable, "-c", RUN, str(site), "hooks"], foreign)


def test_the_package_runs_where_there_is_no_checkout(wheel: Path, tmp_path: Path) -> None:
    """Whose path an editable install has put into every interpreter of its environment."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = f"import sys; sys.path = [p for p in sys.path if p != {str(ROOT)!r}]; {RUN}"
    _runs([sys.executable, "-c", code, str(tmp_path), "hooks"], tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_root_leaves_nothing_in_another_user_s_environment(wheel: Path, tmp_path: Path) -> None:
    """Who could not remove it any more; what that user has compiled stays."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    owned = [tmp_path, *tmp_path.rglob("*")]
    for path in owned:
        os.chown(path, 65534, 65534)
    command = [sys.executable, "-c", RUN, str(tmp_path), "once", "--for", "0", "--hook", "drops"]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert set(tmp_path.rglob("*")) <= set(owned)


def test_nor_do_they_in_a_checkout(foreign: Path) -> None:
    """Whose command is of an editable install, as `make setup` makes it."""
    command = Path(sys.executable).with_name("ebpftop")
    if not command.exists():
        pytest.skip("not installed: this runs from a tree on the path")
    _runs([str(command), "hooks"], foreign)
