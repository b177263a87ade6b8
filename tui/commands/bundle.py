"""`ebpftop bundle`: compile all programs here, for hosts without a compiler."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from probes.model import Opening, Reading
from tui.commands import _options
from tui.commands._run import DONE, UsageError, say, version

if TYPE_CHECKING:
    from probes.compile.bundle_maker import NewBundle

HELP = "compile all programs, for hosts that have no bcc"
ORDER = 85
ABOUT = (
    "On a host that has bcc, this makes one file of the programs that a host of the same kernel "
    "build needs, which then runs the same hooks without bcc, clang and LLVM. The file is data "
    "only: ebpftop uses it for that kernel build alone, and only if it belongs to root (or to the "
    "user who runs ebpftop) and nobody else can write to it."
)
EXAMPLES = {
    "sudo ebpftop bundle": "for hosts that run the kernel build of this one",
    "sudo ebpftop bundle --btf web1.btf": "for web1, whose /sys/kernel/btf/vmlinux was copied here",
}
STATUSES = {
    0: "done",
    1: "this host cannot compile, or the file cannot be written",
    2: "wrong usage",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--btf",
        metavar="FILE",
        type=Path,
        help="compile for another kernel, whose type information this is: a copy of its "
        "/sys/kernel/btf/vmlinux (default: for the running kernel)",
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=_options.writable,
        help="where to write it (default: ebpftop-RELEASE.bundle here, or that of --btf's name)",
    )


def run(arguments: argparse.Namespace) -> int:
    if arguments.btf is not None:
        _read_as_btf(arguments.btf)

    from probes.compile.bundle_maker import make
    from probes.custom.catalogue import Catalogue
    from probes.droprules import program
    from probes.recording import files

    output = arguments.output or _options.writable(_name(arguments.btf))
    hooks = Catalogue()
    say(hooks.complaints)
    rules = program.hook(_not_opened)
    made = make((*hooks.values(), rules), version(), _progress)
    try:
        files.replace(output, made.data, mode=0o644)
    except OSError as refused:
        raise UsageError(f"{output} cannot be written: {refused.strerror}") from None
    print(_told(output, made))
    return DONE


def _not_opened(_: Opening) -> Callable[[], Reading]:
    raise NotImplementedError("these programs are for another host")


def _read_as_btf(file: Path) -> None:
    from probes.kernel import btf

    if not os.access(file, os.R_OK):
        raise UsageError(f"{file} cannot be read")
    btf.use(file)


def _name(btf: Path | None) -> str:
    return f"ebpftop-{os.uname().release}.bundle" if btf is None else f"{btf.stem}.bundle"


def _progress(done: int, of: int) -> None:
    """Show how far it is, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\rcompiling {done} of {of}", end="\n" if done == of else "", file=sys.stderr)


def _told(output: Path, made: NewBundle) -> str:
    lines = [
        f"{output}: {made.programs} programs for {made.about.kernel}, {len(made.data) // 1000} kB",
        f"on that host: sudo chown root {output.name} && sudo ebpftop --bundle {output.name}",
    ]
    lines += [f"not for that kernel: {name}: {why}" for name, why in sorted(made.refused.items())]
    return "\n".join(lines)
