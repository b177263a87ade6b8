"""Making a bundle: all sources of all rungs, compiled for one kernel build."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from probes.compile import bcc_version, bundle, kernel_build
from probes.compile.bundle import Answer, Provenance
from probes.compile.compiler import NOTHING, Compiler
from probes.compile.instructions import relocated
from probes.compile.numbers import split
from probes.errors import LoadFailed, ProbeError
from probes.kernel import btf, open_files, rlimits
from probes.model import Hook

_AT_ONCE = 4
_MOST_LOG = 4000


class NewBundle(NamedTuple):
    """A bundle's bytes. refused: why sources of a rung do not compile, by "hook, rung"."""

    data: bytes
    about: Provenance
    programs: int
    refused: Mapping[str, str]


def make(
    hooks: Iterable[Hook], ebpftop: str, progress: Callable[[int, int], None] = lambda *_: None
) -> NewBundle:
    """Compile every source of these hooks, for the running kernel or for the BTF in its place.

    ebpftop: our version, for people. progress: called with how many are done, and of how many.
    Takes some 20 s. Raises ProbeError where nothing can be compiled here.
    """
    rlimits.raise_memlock()
    hooks = tuple(hooks)
    sources, refused = _sources(hooks)
    answers: dict[str, Answer] = {}
    for asked, made in _compiled(hooks, tuple(_wanted(sources)), progress):
        answers[bundle.key(asked.text, in_pidns=asked.in_pidns)] = made
        if "error" in made:
            refused[sources[asked.text]] = made["why"]
    version, build = bcc_version.installed(), kernel_build.in_use()
    about = Provenance(build, ebpftop, version, bundle.our_c(), locked=bundle.locked_down())
    return NewBundle(bundle.written(about, answers), about, len(sources), refused)


class _Asked(NamedTuple):
    text: str
    in_pidns: bool


def _wanted(sources: Iterable[str]) -> Iterator[_Asked]:
    """Yield what to compile, of which what is similar stands together: it is the smaller packed."""
    for text in sources:
        yield _Asked(text, in_pidns=False)
        if bundle.differs_in_pidns(text):
            yield _Asked(text, in_pidns=True)


def _compiled(
    hooks: Iterable[Hook], wanted: Sequence[_Asked], progress: Callable[[int, int], None]
) -> Iterator[tuple[_Asked, Answer]]:
    """Yield the compiler's answers in order, compiled side by side."""
    compilers = [
        Compiler(hooks, cached=not btf.given(), in_pidns=inside) for inside in (False, True)
    ]

    def answer(asked: _Asked) -> Answer:
        return _answer(compilers[asked.in_pidns], asked.text)

    try:
        yield wanted[0], answer(wanted[0])  # what nothing compiles without is said at once
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            made = pool.map(answer, wanted[1:])
            for n, found in enumerate(zip(wanted[1:], made, strict=True), 2):
                progress(n, len(wanted))
                yield found
    finally:
        for compiler in compilers:
            compiler.close()


def _sources(hooks: Iterable[Hook]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the name of a rung for each source, and why some have none."""
    sources, refused = {NOTHING: "the compiler"}, dict[str, str]()
    for hook in hooks:
        for rung in hook.ladder:
            name = f"{hook.name}, {rung.name}"
            if not rung.source:
                continue
            try:
                # A hook of one system call has the same C for each: the number is put in later.
                sources.setdefault(split(rung.source_for("read"))[0], name)
            except ProbeError as why:
                refused[name] = why.why
    return sources, refused


def _answer(compiler: Compiler, text: str) -> Answer:
    """Return the compiler's answer; also that it does not compile for that kernel."""
    try:
        answer, fds = compiler.answer(text)
    except LoadFailed as failed:
        if failed.errno:
            raise  # of this host, not of the source
        return {"error": "compile", "why": failed.why, "log": failed.log[-_MOST_LOG:]}
    open_files.close_each(fds)
    return _numbered(answer)


def _numbered(answer: Mapping[str, Any]) -> Answer:
    """Return it with maps numbered from 1 in the place of fds, which no two compiles share."""
    numbers = {table["fd"]: n for n, table in enumerate(answer["maps"], 1)}
    functions = {
        name: relocated(bytes.fromhex(code), numbers).hex()
        for name, code in answer["functions"].items()
    }
    maps = [{**table, "fd": numbers[table["fd"]]} for table in answer["maps"]]
    return {"functions": functions, "maps": maps}
