"""A flame graph as SVG: callers below callees, as wide as their CPU time. Hover for numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from zlib import crc32

from probes.units import printable

BEGIN = "<svg"
WIDTH, ROW, SIDE, TOP = 1200, 17, 10, 44
_CHARACTER = 6.6
"""The approximate width of a character, in pixels."""
_LEAST = 0.3
"""Frames narrower than this are not drawn, in pixels."""
_KERNEL = "_[k]"


@dataclass(slots=True)
class StackFrame:
    """A function above its caller. total: the samples in it and in what it called."""

    name: str
    total: int = 0
    called: dict[str, StackFrame] = field(default_factory=dict)

    def add(self, calls: list[str], samples: int) -> None:
        frame = self
        frame.total += samples
        for name in calls:
            frame = frame.called.setdefault(name, StackFrame(name))
            frame.total += samples

    def depth(self) -> int:
        """Return the depth of the deepest call.

        Not recursive: stacks may exceed Python's limit.
        """
        deepest, todo = 0, [(self, 0)]
        while todo:
            frame, depth = todo.pop()
            deepest = max(deepest, depth)
            todo += [(below, depth + 1) for below in frame.called.values()]
        return deepest


def svg(stacks: Iterable[tuple[str, int]], title: str) -> str:
    """Draw the graph of (stack, samples); a stack is names joined by ";", outermost first."""
    root = StackFrame("all")
    for stack, samples in stacks:
        root.add(stack.split(";"), samples)
    height = TOP + (root.depth() + 1) * ROW + SIDE
    head = (
        f'{BEGIN} xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" font-family="monospace" font-size="11">\n'
        f'<rect width="100%" height="100%" fill="#fbfaf7"/>\n'
        f'<text x="{SIDE}" y="24" font-size="15">{_escaped(printable(title))}</text>\n'
    )
    return head + "".join(_drawn(root, height)) + "</svg>\n"


def _escaped(text: str) -> str:
    from html import escape  # all commands are imported at each start

    return escape(text)


def _drawn(root: StackFrame, height: int) -> Iterator[str]:
    """Draw callers below callees, each as wide as its share of all samples."""
    scale = (WIDTH - 2 * SIDE) / root.total if root.total else 0
    todo = [(root, float(SIDE), 0)]
    while todo:
        frame, x, depth = todo.pop()
        width = frame.total * scale
        if width < _LEAST:
            continue
        yield _box(frame, x, height - SIDE - (depth + 1) * ROW, width, root.total)
        for below in sorted(frame.called.values(), key=lambda f: f.name):
            todo.append((below, x, depth + 1))
            x += below.total * scale


def _box(frame: StackFrame, x: float, y: int, width: float, whole: int) -> str:
    name = printable(frame.name.removesuffix(_KERNEL))
    room = int((width - 6) / _CHARACTER)
    shown = name if len(name) <= room else f"{name[: room - 2]}.." if room > 4 else ""
    share = 100 * frame.total / whole if whole else 0
    said = f"{name}: {frame.total} samples, {share:.1f} %"
    text = f'<text x="{x + 3:.1f}" y="{y + 12}">{_escaped(shown)}</text>' if shown else ""
    return (
        f"<g><title>{_escaped(said)}</title>"
        f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 1}" rx="1" '
        f'fill="{_colour(frame.name)}"/>{text}</g>\n'
    )


def _colour(name: str) -> str:
    """Return a stable colour: warm for programs, blue for the kernel, grey for unknown names."""
    shade = crc32(name.encode(errors="replace")) % 60
    if name.startswith("["):
        return f"hsl(40, 8%, {72 + shade // 6}%)"
    if name.endswith(_KERNEL):
        return f"hsl({200 + shade // 2}, 55%, {68 + shade // 6}%)"
    return f"hsl({10 + shade // 2}, 85%, {62 + shade // 6}%)"
