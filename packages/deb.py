"""The Debian package, for every architecture: `python -m packages.deb`, in dist/.

Built with dpkg-deb alone, so that any Debian or Ubuntu builds it, without root. What a helper such
as debhelper would add to the maintainer scripts is written out in `files/debian`.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from email.utils import formatdate
from pathlib import Path

from packages import carried, tree
from packages.carried import Library, NotBuilt
from packages.versions import ROOT, Build, current

DEBIAN = tree.FILES / "debian"
SCRIPTS = ("postinst", "prerm", "postrm")
MAINTAINER = "ebpftop maintainers <maintainers@ebpftop.invalid>"
RUNTIME = "usr/share/python3/runtime.d/ebpftop.rtupdate"
OVERRIDES = "usr/share/lintian/overrides/ebpftop"
_HOLDER = re.compile(r"^\s*(?:Copyright\b\s*(?:\([cC]\)|©)?\s*)(\d.*\S)", re.MULTILINE)


def control(build: Build, size: int) -> str:
    """Return the control file. size: kilobytes."""
    told = {"version": build.debian, "maintainer": MAINTAINER, "size": str(size)}
    text = (DEBIAN / "control").read_text()
    return re.sub("@(.+?)@", lambda found: told[found[1]], text, count=len(told))


def copyright(libraries: list[Library]) -> str:
    """Return whose everything is, in Debian's machine-readable form (DEP-5)."""
    head = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
    ours = _stanza("*", "The ebpftop authors", "Apache-2.0 or GPL-2.0-only")
    return "\n".join([head, ours, *map(_of, libraries), *_LICENCES])


def _of(library: Library) -> str:
    name, version = library.name, library.version
    files = sorted({str(file).split("/")[0] for file in library.files or () if _in(str(file))})
    places = " ".join(f"{tree.PRIVATE}/{name}" for name in files)
    said = f"Comment: {name} {version}, as its authors publish it.\n"
    return _stanza(places, _holder(library), _licence(library)) + said


def _licence(library: Library) -> str:
    """Return its name, from where the library's metadata has it: there are three places."""
    for key in ("License-Expression", "License"):
        for told in library.metadata.get_all(key) or ():
            return str(told).splitlines()[0]
    told = library.metadata.get_all("Classifier") or []
    names = [line.rpartition(" :: ")[2] for line in told if line.startswith("License ::")]
    return " or ".join(names) or "see the library's own text"


def _in(name: str) -> bool:
    return not name.startswith("..") and carried.wanted(name)


def _holder(library: Library) -> str:
    """Return who has the copyright, from the text of the licence; else who wrote it."""
    for file in library.files or ():
        if re.search(r"licen[cs]e|copying", str(file), re.IGNORECASE) and file.suffix != ".py":
            found = _HOLDER.search(file.read_text())
            if found:
                return found[1]
    for key in ("Author", "Author-email"):
        for told in library.metadata.get_all(key) or ():
            return str(told)
    return "its authors"


def _stanza(files: str, holder: str, licence: str) -> str:
    return f"Files: {files}\nCopyright: {holder}\nLicense: {licence}\n"


_LICENCES = (
    "License: Apache-2.0\n On Debian systems: /usr/share/common-licenses/Apache-2.0.\n",
    "License: GPL-2.0-only\n On Debian systems: /usr/share/common-licenses/GPL-2.\n",
    "Comment: The texts of all other licences are in the libraries' own folders,\n"
    f" /{tree.PRIVATE}/*.dist-info.\n",
)


def changelog(build: Build) -> str:
    """Return Debian's changelog: one entry, which refers to ours."""
    return (
        f"ebpftop ({build.debian}) unstable; urgency=medium\n\n"
        f"  * ebpftop {build.version}: see changelog.gz.\n\n"
        f" -- {MAINTAINER}  {formatdate(build.epoch)}\n"
    )


def make(root: Path, build: Build) -> None:
    """Write the package's tree, as dpkg-deb takes it. Raises NotBuilt."""
    tree.make(root, build)
    libraries = carried.needed(tree.THEIRS)
    written = {
        f"{tree.DOC}/copyright": copyright(libraries),
        f"{tree.DOC}/changelog.Debian.gz": changelog(build),
        RUNTIME: (DEBIAN / "rtupdate").read_text(),
        OVERRIDES: (DEBIAN / "lintian-overrides").read_text(),
    }
    for place, text in written.items():
        tree.put(root / place, text)
    (root / RUNTIME).chmod(0o755)
    _describe(root, build)
    tree.settle(root, build.epoch)


def _describe(root: Path, build: Build) -> None:
    """Write DEBIAN/, which dpkg reads."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    names = [str(path.relative_to(root)) for path in files]
    sums = [hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() for path in files]
    about = {
        "control": control(build, tree.size(root)),
        "conffiles": "".join(f"/{name}\n" for name in names if name.startswith("etc/")),
        "md5sums": "".join(f"{s}  {n}\n" for s, n in zip(sums, names, strict=True)),
        **{name: (DEBIAN / name).read_text() for name in SCRIPTS},
    }
    for name, text in about.items():
        tree.put(root / "DEBIAN" / name, text)
    for name in SCRIPTS:
        (root / "DEBIAN" / name).chmod(0o755)


def packed(root: Path, file: Path, build: Build) -> Path:
    """Make the package of its tree: the same bytes for the same build. Raises NotBuilt."""
    command = ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(root), str(file)]
    env = os.environ | {"SOURCE_DATE_EPOCH": str(build.epoch)}
    try:
        subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
    except FileNotFoundError:
        raise NotBuilt("there is no dpkg-deb here: install dpkg") from None
    except subprocess.CalledProcessError as failed:
        raise NotBuilt(f"dpkg-deb ended with {failed.returncode}") from None
    return file


def build_into(folder: Path) -> Path:
    """Build the package into a folder; return its file. Raises NotBuilt."""
    build, root = current(), tree.fresh(ROOT / "build/deb")
    make(root, build)
    folder.mkdir(exist_ok=True)
    return packed(root, folder / f"ebpftop_{build.debian}_all.deb", build)


def main() -> int:
    try:
        file = build_into(ROOT / "dist")
    except NotBuilt as why:
        print(f"deb: {why}", file=sys.stderr)
        return 1
    print(f"deb: {file.relative_to(ROOT)}, {file.stat().st_size / 1e6:.1f} MB", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
