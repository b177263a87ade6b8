"""Debian's own kernels, fetched by package name and unpacked into a cache outside the repository.

The machine's apt is asked with lists of its own, so nothing of the system's changes. What is in
the cache is used as it is; remove it to get a newer build. So are the userlands: a Debian of
another age, for its bcc and Python.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel of the matrix, by the name people ask for, and the Debian suite that has it.

    headers: its headers too, for what is compiled where there is no BTF.
    """

    name: str
    suite: str
    headers: bool = False


KERNELS = (
    Kernel("5.10", "bullseye"),
    Kernel("6.1", "bookworm", headers=True),
    Kernel("6.12", "trixie"),
    Kernel("newest", "sid"),
)
USERLAND = "python3 python3-bpfcc libbpf1 bpftool iproute2 kmod"


class Missing(Exception):
    """A kernel or a userland that could not be had; the text says why."""


@dataclass(frozen=True, slots=True)
class Image:
    """An unpacked kernel: its release as uname -r says it, and boot/vmlinuz-<release>."""

    release: str
    vmlinuz: Path

    @property
    def place(self) -> Path:
        """Holds boot/, lib/modules/ and, where the headers were asked for, usr/src/."""
        return self.vmlinuz.parent.parent


def cache() -> Path:
    """Where kernels and the guests' logs are kept. Not /var/cache: guests hide that one."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ebpftop-kernels"


def image(name: str) -> Image:
    """The kernel of that name, from the cache or from the archive. Raises Missing."""
    kernel = next(k for k in KERNELS if k.name == name)
    place = cache() / kernel.name
    if kernel.headers and place.is_dir() and not (place / "usr/src").is_dir():
        shutil.rmtree(place)  # of the time before headers were asked for
    _made(place, lambda fresh: _unpack(_download(kernel, fresh), fresh))
    found = sorted((place / "boot").glob("vmlinuz-*"))
    if not found:
        raise Missing(f"no boot/vmlinuz in {place}: remove that folder and try again")
    return Image(found[0].name.removeprefix("vmlinuz-"), found[0])


def userland(suite: str) -> Path:
    """A root directory with what ebpftop needs of that Debian suite. Raises Missing."""
    return _made(
        cache() / f"userland-{suite}",
        lambda fresh: _run(
            *("debootstrap", "--variant=minbase", f"--keyring={KEYRING}"),
            *(f"--include={','.join(USERLAND.split())}", suite, fresh, _mirror()),
        ),
    )


def _made(place: Path, make: Callable[[Path], object]) -> Path:
    """A folder of the cache: whole, or not there at all. Made once, whoever else asks for it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = place.with_name(f".{place.name}")
    with place.with_name(f".{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.is_dir():
            shutil.rmtree(fresh, ignore_errors=True)
            try:
                make(fresh)
                fresh.rename(place)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
    return place


def _download(kernel: Kernel, place: Path) -> list[Path]:
    """The packages of the kernel that the suite's linux-image-<arch> stands for."""
    for folder in ("lists/partial", "cache/archives/partial", "debs"):
        (place / folder).mkdir(parents=True)
    (place / "status").touch()
    (place / "sources.list").write_text(
        f"deb [signed-by={KEYRING}] {_mirror()} {kernel.suite} main\n"
    )
    state = {
        "Dir::State": place,
        "Dir::State::Lists": place / "lists",
        "Dir::State::status": place / "status",
        "Dir::Cache": place / "cache",
        "Dir::Etc::SourceList": place / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "APT::Sandbox::User": "root",
        "APT::Update::Error-Mode": "any",
    }
    options = [part for key, value in state.items() for part in ("-o", f"{key}={value}")]
    _run("apt-get", *options, "-qq", "update")
    arch = _run("dpkg", "--print-architecture").strip()
    names = list(_parts(f"linux-image-{arch}", options))
    if kernel.headers:
        names += _parts(f"linux-headers-{arch}", options)
    _run("apt-get", *options, "-qq", "download", *names, cwd=place / "debs")
    return sorted((place / "debs").glob("*.deb"))


def _parts(package: str, options: list[str]) -> Iterator[str]:
    """The packages that hold a kernel's files. Since 7.x the image is split into several.

    Of the headers only what a BPF compiler reads: neither gcc nor kbuild.
    """
    shown = _run("apt-cache", *options, "--no-all-versions", "show", package)
    depends = re.search(r"^Depends: (.*)$", shown, re.MULTILINE)
    for name in re.findall(
        r"linux-(?:image|binary|modules|headers)-[0-9]\S*", depends[1] if depends else ""
    ):
        yield name
        yield from _parts(name, options)


def _unpack(packages: list[Path], place: Path) -> None:
    """Leaves boot/vmlinuz-<release> and lib/modules/<release>, whatever the package's layout."""
    if not packages:
        raise Missing("the suite has no kernel package of that name")
    for package in packages:
        _run("dpkg", "-x", package, place)
    modules = next(place.glob("usr/lib/modules/*"), None) or next(place.glob("lib/modules/*"), None)
    if modules is None:
        raise Missing("the kernel package has no modules")
    release = modules.name
    if not (place / "lib").exists():
        (place / "lib").symlink_to("usr/lib")
    elif not (place / "lib/modules").exists():
        (place / "lib/modules").symlink_to("../usr/lib/modules")
    vmlinuz = place / f"boot/vmlinuz-{release}"
    if not vmlinuz.exists():
        vmlinuz.parent.mkdir(exist_ok=True)
        vmlinuz.symlink_to(f"../usr/lib/modules/{release}/vmlinuz")
    _run("depmod", "-b", place, release)
    for leftover in ("lists", "cache", "debs"):
        shutil.rmtree(place / leftover)


def _mirror() -> str:
    """The Debian mirror that this machine's apt uses, or $MIRROR where it uses none."""
    if mirror := os.environ.get("MIRROR"):
        return mirror
    shown = _run("apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)")
    for line in shown.splitlines():
        if line.startswith("Debian Debian "):
            return line.rpartition(" ")[2]
    raise Missing("this machine's apt knows no Debian mirror; name one: make matrix MIRROR=URL")


def _run(*command: str | Path, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise Missing(f"{command[0]} is not on this machine") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines() or [f"exit status {error.returncode}"]
        raise Missing(f"{command[0]}: {said[0].strip()}") from None
    return done.stdout
