"""What `--remote` does about a host that has no bcc: it offers to send it a bundle.

The bundle is put where that host looks for one, by a command for the shell there: whoever may write
to that place may say what root loads into the kernel, and nobody else.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shlex
import sys
import tempfile
from pathlib import Path

from probes.compile import bundle, kernel_build
from probes.compile.bundle import Needs, Provenance
from probes.compile.kernel_build import KernelBuild
from probes.errors import ProbeError
from probes.sources.remote.source import Remote
from probes.sources.remote.ssh import SshCommand
from probes.units import printable
from tui.commands._run import at_terminal, say

_PING = 5.0
"""Seconds from one word to the other side to the next, while the user thinks."""


async def offer(remote: Remote, way: SshCommand, arguments: argparse.Namespace) -> None:
    """Send a bundle, if there is one and the user agrees, and connect again.

    Raises ProbeError where the one that was asked for does not fit, or cannot be sent.
    """
    needs = remote.needs
    assert needs is not None
    found = _fitting(needs, arguments.bundle, remote.name)
    if found is None:
        how = _how_to_make(needs, way, kernel_build.in_use())
        say([f"{remote.name} has no bcc, so most hooks are on lower rungs; {how}"], "")
        return
    if arguments.bundle is None and not await _agreed(remote, found[0]):
        return
    await _send(way, needs, found[1], sudo=arguments.remote_command.startswith("sudo "))
    say([f"{remote.name} has no bcc; it has the programs of {found[0]} now"], "")
    await remote.connect_anew()


def _how_to_make(needs: Needs, way: SshCommand, here: KernelBuild) -> str:
    """Return the commands that make a bundle for that host, and where they can be run."""
    file, copy, where = f"{shlex.quote(way.name)}.bundle", "", "on a host with bcc"
    if here.machine != needs.kernel.machine:
        where += f" and its architecture ({needs.kernel.machine})"
    if here != needs.kernel:
        btf = f"{shlex.quote(way.name)}.btf"
        copy = f"ssh {shlex.quote(way.shell[-1])} cat /sys/kernel/btf/vmlinux >{btf}; "
    asked = f" --btf {btf}" if copy else f" --output {file}"
    return f"{where}: {copy}sudo ebpftop bundle{asked}; then add --bundle {file}"


def _fitting(needs: Needs, given: Path | None, name: str) -> tuple[Path, bytes] | None:
    """Return the bundle for that host: the one that is asked for, or one in the usual place."""
    for file in bundle.candidates() if given is None else (given,):
        try:
            about, data = bundle.checked(file)
        except ProbeError:
            if given is not None:
                raise
            continue
        if not (wrong := _unmet(needs, about)):
            return file, data
        if given is not None:
            raise ProbeError(f"{printable(str(file))} is not for {name}: {wrong}")
    return None


def _unmet(needs: Needs, about: Provenance) -> str:
    return needs.unmet_by(about, "the one there")


async def _agreed(remote: Remote, file: Path) -> bool:
    """Ask; the answer is yes unless it begins with n. Without a terminal nothing is sent."""
    if not at_terminal():
        return False
    asked = f"{remote.name} has no bcc. Copy {file} to {bundle.PLACE} there? [Y/n] "
    print(asked, end="", file=sys.stderr, flush=True)
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        if not line.done():
            line.set_result(sys.stdin.readline())

    loop.add_reader(sys.stdin, read)
    try:
        while not (await asyncio.wait({line}, timeout=_PING))[0]:
            await remote.ping()
    finally:
        loop.remove_reader(sys.stdin)
    answer = line.result()
    return bool(answer) and not answer.strip().lower().startswith("n")


async def _send(way: SshCommand, needs: Needs, data: bytes, *, sudo: bool) -> None:
    """Put it into its place there. Raises ProbeError with what the shell there says."""
    name = re.sub(r"[^\w.+-]", "_", needs.kernel.release)[:64] or "this"
    place = bundle.PLACE / f"{name}-{needs.kernel.btf[:8]}.bundle"
    words = ("sudo", "-n") if sudo else ()
    command = shlex.join([*words, "install", "-D", "-m", "644", "/dev/stdin", str(place)])
    with tempfile.TemporaryFile() as file:  # whose reader may end before it has read all
        file.write(data)
        file.seek(0)
        process = await asyncio.create_subprocess_exec(
            *way.shell, command, stdin=file, stderr=asyncio.subprocess.PIPE
        )
        _, said = await process.communicate()
    if process.returncode:
        lines = said.decode(errors="replace").split("\n")
        why = "; ".join(printable(line) for line in lines if line) or "it does not say why"
        raise ProbeError(
            f"the bundle cannot be copied to {way.name}: {why}",
            remedy=f"Copy it to {bundle.PLACE} there as root.",
        )
