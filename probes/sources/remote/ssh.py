"""Another host by the system's ssh: the command, and its failures in sentences.

ssh itself reads the user's configuration: keys, agent, jump hosts, multiplexing and host keys are
as they are set there. Nothing here changes what it trusts.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from probes.errors import ProbeError, Unsupported
from probes.units import printable

COMMAND = "ebpftop"
"""The command that is run there by default; words for a shell there."""
_QUIET = ("-T", "-a", "-x", "-o", "ClearAllForwardings=yes")
"""No terminal there, no agent, no display, and none of the user's port forwardings."""
CONNECT_SECONDS = 20
"""Seconds that a further try to connect may take."""
_FAILED = 255
"""ssh's own exit status where it could not connect, or lost the connection."""
_INSTALL = (
    "Install it there (git clone, make setup), or say where it is: --remote-command"
    " '/path/to/ebpftop' (or 'sudo /path/to/ebpftop')."
)


@dataclass(frozen=True, slots=True)
class SshCommand:
    """A command that reaches the other side. name: for display.

    first: the command line that may ask for a password or about a host key, on the terminal. again:
    the one that must not, while the screen is there. own: what it adds to our environment. shell:
    what runs the word that follows it in a shell there.
    """

    name: str
    first: tuple[str, ...]
    again: tuple[str, ...]
    own: Mapping[str, str] = field(default_factory=dict)
    shell: tuple[str, ...] = ()


def by_ssh(
    destination: str,
    command: str = COMMAND,
    options: Sequence[str] = (),
    ssh: str = "ssh",
    *,
    netns: str | None = None,
) -> SshCommand:
    """Return the way to a host. command: the ebpftop there, for the shell there: 'sudo ebpftop'.

    options: further ones of ssh. netns: the network namespace there that it looks from, by name or
    process. Raises ProbeError for what is no destination.
    """
    if not destination or destination.startswith("-") or re.search(r"[\s\0-\x1f\x7f]", destination):
        raise ProbeError(
            f"{printable(destination)!r} is not a host: write USER@HOST, a name of your "
            "ssh_config, or ssh://USER@HOST:PORT"
        )
    if "\n" in command or "\0" in command or not command.strip():
        raise ProbeError("--remote-command must be one command, such as 'sudo ebpftop'")
    if shutil.which(ssh) is None:
        raise Unsupported(f"there is no {ssh} here", remedy="Install the OpenSSH client.")
    within = "" if netns is None else f" --netns={shlex.quote(netns)}"
    end = ("--", destination, f"{command} serve{within}")
    # While the screen is there nobody can be asked: not on the terminal, not in a window.
    alone = ("-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_SECONDS}")
    again = (ssh, *_QUIET, *alone, *options, *end)
    name = re.sub(r"^ssh://", "", destination).rpartition("@")[2]
    first = (ssh, *_QUIET, *options, *end)
    own = {"SSH_ASKPASS_REQUIRE": "never"}
    return SshCommand(printable(name), first, again, own, first[:-1])


def why(name: str, status: int | None, words: Sequence[str]) -> ProbeError:
    """Return why there is no ebpftop to talk to.

    Status: the command's; words: its lines on stderr.
    """
    said = "; ".join(printable(w.removeprefix("ebpftop: ").rstrip(".")) for w in words[-3:])
    everything = "\n".join(words)
    if "invalid choice: 'serve'" in everything:
        return Unsupported(
            f"the ebpftop on {name} is too old for --remote", remedy="Update it there."
        )
    if "does not take --netns" in everything:
        return Unsupported(
            f"the ebpftop on {name} is too old for --netns with --remote", remedy="Update it there."
        )
    if status == 127 or (re.search(r"(not found|No such file)", everything) and status == 1):
        return Unsupported(
            f"there is no such command on {name}: {said or 'it ended with status 127'}",
            remedy=_INSTALL,
        )
    if status == _FAILED:
        return ProbeError(f"{name} cannot be reached: {said or 'ssh does not say why'}")
    if status == 126:
        return ProbeError(f"{name} cannot execute the command: {said}")
    if said:
        return ProbeError(f"{name}: {said}")
    return ProbeError(f"{name}: it ended with status {status} and no message")
