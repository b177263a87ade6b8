"""`ebpftop completion SHELL`: print a completion script for bash, zsh or fish."""

from __future__ import annotations

import argparse

from tui.commands._help import PRINTED
from tui.commands._run import DONE

HELP = "print a completion script for bash, zsh or fish"
ORDER = 110
ABOUT = "It is made from the commands of this version: make it again after an upgrade."
EXAMPLES = {
    'eval "$(ebpftop completion bash)"': "in ~/.bashrc",
    "ebpftop completion zsh > ~/.zfunc/_ebpftop": "into a folder of $fpath",
    "ebpftop completion fish > ~/.config/fish/completions/ebpftop.fish": "for fish",
}
STATUSES = PRINTED
SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help="bash, zsh or fish")


def run(arguments: argparse.Namespace) -> int:
    from tui.commands import _shells  # reads the catalogue and the themes

    print(_shells.script(arguments.shell), end="")
    return DONE
