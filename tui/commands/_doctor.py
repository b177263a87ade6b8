"""The checks behind `doctor`, and their results as text and JSON."""

from __future__ import annotations

import os
import socket
import textwrap
from collections.abc import Iterable, Sequence

from probes.compile.bundle import Bundle
from probes.compile.compiler import Compiler
from probes.custom.catalogue import Catalogue
from probes.doctor import checks
from probes.doctor.checks import Diagnosis, Fact
from probes.doctor.program_types import Found
from probes.errors import Gone, ProbeError
from probes.kernel.netlink import route
from probes.ladder.modules import Modules
from probes.model import Hook, HookId, TargetKind
from probes.owners.enter_netns import looked_from
from probes.source import Host
from probes.units import printable
from tui.output.document import dumps


def examine(ids: Sequence[HookId], bundle: Bundle | None) -> tuple[list[Fact], list[Diagnosis]]:
    """Check the given hooks against the running kernel; all hooks if none is given."""
    hooks = Catalogue()
    compiler = Compiler(hooks.values(), cached=True, bundle=bundle)
    modules = Modules(compiler)
    try:
        refusal = checks.uncompiled(modules)
        by = str(compiler.bundle or "bcc")
        return list(checks.facts(refusal, by)), _findings(ids, hooks, modules, refusal)
    finally:
        compiler.close()


def _findings(
    ids: Sequence[HookId], hooks: Catalogue, modules: Modules, refusal: ProbeError | None
) -> list[Diagnosis]:
    if ids:
        return [
            checks.examine(
                hooks.find(id.hook),
                modules,
                target=id.target,
                ifindex=_ifindex(id),
                asked=True,
                compiler=refusal,
            )
            for id in ids
        ]
    # A system call has to be named for its hook to compile; any does for the question.
    return [
        checks.examine(h, modules, target=_any_target(h), asked=False, compiler=refusal)
        for h in hooks.values()
    ]


def _any_target(hook: Hook) -> str | None:
    return "read" if hook.target is TargetKind.SYSCALL else None


def _ifindex(id: HookId) -> int:
    hook = Catalogue().get(id.hook)
    if hook is None or hook.target is not TargetKind.INTERFACE:
        return 0
    link = route.named(id.target or "")
    if link is None:
        raise Gone(f"there is no interface {printable(id.target or '')}")
    return link.ifindex


def as_json(facts: Iterable[Fact], findings: Iterable[Diagnosis]) -> str:
    return dumps(
        {
            "format": "ebpftop-doctor/1",
            "host": socket.gethostname(),
            "kernel": os.uname().release,
            "netns": looked_from() or None,
            "facts": [
                {"name": f.name, "value": f.value, "ok": f.ok, "remedy": f.remedy or None}
                for f in facts
            ],
            "hooks": [
                {
                    "hook": finding.id.hook,
                    "target": finding.id.target,
                    "predicted": finding.predicted,
                    "rungs": [
                        {
                            "rung": rung.name,
                            "answer": str(answer.word),
                            "error": answer.error or None,
                            "why": answer.why or None,
                            "remedy": answer.remedy or None,
                            "least": rung.requires,
                        }
                        for rung, answer in finding.answers
                    ],
                }
                for finding in findings
            ],
        }
    )


def as_text(facts: Iterable[Fact], findings: Iterable[Diagnosis]) -> str:
    lines = [f"{printable(_host())}, Linux {os.uname().release}"]
    for fact in facts:
        mark = " " if fact.ok else "!"
        lines.append(f"{mark} {fact.name}: {fact.value}")
        if fact.remedy:
            lines.append(f"    -> {fact.remedy}")
    for finding in findings:
        lines += ["", *_finding(finding)]
    return "\n".join(lines)


def _host() -> str:
    """Return the host's name, with the network namespace that was looked from."""
    return Host(socket.gethostname(), os.uname().release, netns=looked_from()).title


def _finding(finding: Diagnosis) -> Iterable[str]:
    yield f"{printable(str(finding.id))}: would attach on {finding.predicted or 'no rung'}"
    for rung, answer in finding.answers:
        mark = ">" if rung.name == finding.predicted else " "
        error = f" {answer.error}:" if answer.error else ""
        why = f" {printable(answer.why)}" if answer.why else ""
        yield f"  {mark} {rung.name:<26}{answer.word:<8}{error}{why}".rstrip()
        if answer.remedy:
            yield f"      -> {answer.remedy}"


# -- program types ---------------------------------------------------------------------------


def programs_json(found: Iterable[Found]) -> str:
    return dumps(
        {
            "format": "ebpftop-programs/1",
            "host": socket.gethostname(),
            "kernel": os.uname().release,
            "programs": [
                {
                    "type": f.kind.name,
                    "loads": f.loads,
                    "error": f.error or None,
                    "why": f.why or None,
                    "remedy": f.remedy or None,
                    "context": f.kind.context,
                    "context_bytes": f.size,
                    "readable_bytes": f.readable,
                    "accepts": f.accepts,
                    "returns": [{"value": v, "meaning": meaning} for v, meaning in f.kind.returns],
                    "helpers": f.helpers,
                }
                for f in found
            ],
        }
    )


def programs_text(found: Iterable[Found]) -> str:
    return "\n\n".join("\n".join(_program_type(f)) for f in found)


def _program_type(f: Found) -> Iterable[str]:
    yield f"{f.kind.name}: {'loads' if f.loads else f'not loaded: {f.error}: {f.why}'}"
    if f.remedy:
        yield f"    -> {f.remedy}"
    yield f"  context  {f.kind.context}{_context_size(f)}"
    for i, (value, meaning) in enumerate(f.kind.returns):
        yield f"  {'' if i else 'returns':7}  {value}: {meaning}"
    if f.accepts:
        yield f"  accepts  {', '.join(map(str, f.accepts))} (of -1 to 4)"
    if f.helpers is not None:
        text = f"{len(f.helpers)} of {f.of}: {', '.join(f.helpers)}"
        indent = " " * 11
        yield from textwrap.wrap(text, 100, initial_indent="  helpers  ", subsequent_indent=indent)


def _context_size(f: Found) -> str:
    sizes = [f"{f.size} bytes"] if f.size is not None else []
    if f.readable is not None:
        sizes.append(f"readable to byte {f.readable}")
    return f" ({', '.join(sizes)})" if sizes else ""
