"""Completion scripts: a frame for each shell (`shells/`), filled with what can be completed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from shlex import quote

from tui.commands._offers import FILES, INTERFACES, PIDS, WITHOUT, Completable, listed, offers

FRAMES = Path(__file__).with_name("shells")


def script(shell: str) -> str:
    """Return the script for one of SHELLS."""
    frame = (FRAMES / f"ebpftop.{shell}").read_text()
    filled = frame.replace("COMMANDS", " ".join(listed()))
    return filled.replace("# TABLE", "\n".join(SHELLS[shell]()))


def _every() -> Iterator[tuple[str, list[Completable]]]:
    for command in (WITHOUT, *listed()):
        yield command, offers(command)


# bash: two tables, by command and by command and option


def _bash() -> Iterator[str]:
    yield f"_ebpftop_commands={quote(' '.join(listed()))}"
    for command, offered in _every():
        flags = [name for offer in offered for name in offer.names]
        yield f"_ebpftop_options[{command}]={quote(' '.join(flags))}"
        for offer in offered:
            values = " ".join((*offer.values, *([f"<{offer.found}>"] if offer.found else [])))
            for name in (offer.names or ("",)) if offer.takes else ():
                yield f"_ebpftop_values[{command},{name}]={quote(values)}"


# zsh: what `_arguments` takes


def _zsh() -> Iterator[str]:
    yield "_ebpftop_commands=("
    yield from (f"  {quote(f'{name}:{says}')}" for name, says in listed().items())
    yield ")"
    for command, offered in _every():
        yield f"_ebpftop_{command}=("
        yield from (f"  {quote(spec)}" for offer in offered for spec in _zsh_specs(offer))
        yield ")"


_ZSH = {FILES: "_files", INTERFACES: "_net_interfaces", PIDS: "_pids"}


def _zsh_specs(offer: Completable) -> Iterator[str]:
    says, takes = (t.translate(_ZSH_ESCAPES) for t in (offer.says, offer.takes))
    words = " ".join(value.replace(":", r"\:") for value in offer.values)
    action = _ZSH.get(offer.found) or (f"({words})" if words else " ")
    value = f":{takes}:{action}" if offer.takes else ""
    if not offer.names:
        yield f"1:{takes}:{action}"
    for name in offer.names:
        yield f"*{name}[{says}]{value}"


_ZSH_ESCAPES = str.maketrans({"[": r"\[", "]": r"\]", ":": r"\:"})


# fish: a line for each option


def _fish() -> Iterator[str]:
    for name, says in listed().items():
        yield f"complete -c ebpftop -n __ebpftop_alone -f -a {name} -d {_fish_quoted(says)}"
    for command, offered in _every():
        alone = command == WITHOUT
        when = "__ebpftop_alone" if alone else f"__fish_seen_subcommand_from {command}"
        for offer in offered:
            yield f"complete -c ebpftop -n {_fish_quoted(when)}{_fish_words(offer)}"


_FISH = {
    FILES: "",
    INTERFACES: " -a '(command ls /sys/class/net)'",
    PIDS: " -a '(__fish_complete_pids)'",
}


def _fish_words(offer: Completable) -> str:
    """Return the options of fish's `complete`: names, values, description."""
    names = "".join(f" -l {n[2:]}" if n.startswith("--") else f" -s {n[1]}" for n in offer.names)
    values = f" -a {_fish_quoted(' '.join(offer.values))}" if offer.values else ""
    values = _FISH.get(offer.found, values)
    takes = ("" if offer.found == FILES else " -x" if offer.names else " -f") if offer.takes else ""
    requires = " -r" if offer.found == FILES and offer.names else ""
    return f"{names}{takes or requires}{values} -d {_fish_quoted(offer.says)}"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS: dict[str, Callable[[], Iterator[str]]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
