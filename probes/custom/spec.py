"""A user's own hook, as it is written: `kprobe:vfs_read,by=comm,latency`.

    KIND:PLACE[,OPTION]...

    kprobe: kretprobe: fentry: fexit:        a kernel function
    tracepoint:CATEGORY:NAME                 a tracepoint, with the fields of its record
    rawtracepoint:NAME                       the same without fields
    uprobe:PATH:SYMBOL[+OFFSET] uretprobe:   a function of a program or library

    by=pid|comm|cgroup|cpu|stack|ret|none    keys of the rows; several with +, pid by default
    latency                                  time from call to return
    ret                                      returned values: failures, mean
    unsafe                                   return probes also where exceptions are thrown
    where=pid==123                           pid, uid, cpu, comm, cgroup, a tracepoint's field
    fields=dev,rwbs                          fields of a tracepoint as further keys

This module holds the text only, and nothing of what this kernel has: that is `builder`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

KINDS = (
    "kprobe", "kretprobe", "fentry", "fexit", "tracepoint", "rawtracepoint", "uprobe", "uretprobe",
)  # fmt: skip
FUNCTIONS = frozenset({"kprobe", "kretprobe", "fentry", "fexit"})
USER = frozenset({"uprobe", "uretprobe"})
BY = ("pid", "comm", "cgroup", "cpu", "stack", "ret", "none")
OF_TASK = ("pid", "uid", "cpu", "comm", "cgroup")
_TEXTS = ("comm", "cgroup")
_CONDITION = re.compile(r"(\w+)\s*(==|!=|<=|>=|<|>)\s*(.*)")
_FUNCTION = re.compile(r"[A-Za-z_][\w.]{0,126}")
_NAME = re.compile(r"[A-Za-z_]\w{0,99}")
_SYMBOL = re.compile(r"[A-Za-z_.$][\w.$@]{0,500}")
MOST_FIELDS = 4
_RETURNS = {"kretprobe", "fexit", "uretprobe"}


_OF_FUNCTION = ("fentry", "kprobe-multi", "kprobe")
_OF_TRACEPOINT = ("btf-tracepoint", "raw-tracepoint")
RUNGS = {
    **dict.fromkeys(FUNCTIONS, _OF_FUNCTION),
    **dict.fromkeys(USER, ("uprobe",)),
    "tracepoint": (*_OF_TRACEPOINT, "tracepoint"),
    "rawtracepoint": _OF_TRACEPOINT,
}
"""Names of the rungs that such a hook may have, best first."""


class SpecError(ValueError):
    """An invalid spec; one sentence."""


@dataclass(frozen=True, slots=True)
class Condition:
    """`name` `operator` a number, or a text where the name is comm or cgroup."""

    name: str
    operator: str
    value: int | str

    def __str__(self) -> str:
        return f"{self.name}{self.operator}{self.value}"


@dataclass(frozen=True, slots=True)
class Spec:
    """A user's own hook. Its text is the hook's name; two ways to write it have one text.

    place: a function, a tracepoint's name, or a path. category: a tracepoint's. symbol, offset: the
    place within the file at `place`.
    """

    kind: str
    place: str
    category: str = ""
    symbol: str = ""
    offset: int = 0
    by: tuple[str, ...] = ("pid",)
    latency: bool = False
    ret: bool = False
    unsafe: bool = False
    where: tuple[Condition, ...] = ()
    fields: tuple[str, ...] = ()

    @property
    def point(self) -> str:
        """The attach point, as written."""
        offset = f"+0x{self.offset:x}" if self.offset else ""
        parts = (self.kind, self.category, self.place, self.symbol + offset)
        return ":".join(filter(None, parts))

    @property
    def of_return(self) -> bool:
        """Whether it is counted when a call returns, not when it begins."""
        return self.latency or self.reads_result or self.kind in _RETURNS

    @property
    def reads_result(self) -> bool:
        return self.ret or "ret" in self.by

    @property
    def pid(self) -> int | None:
        """The only process that it is for, if the spec names one."""
        return next(
            (
                c.value
                for c in self.where
                if c.name == "pid" and c.operator == "==" and isinstance(c.value, int)
            ),
            None,
        )

    def __str__(self) -> str:
        options = [f"by={'+'.join(self.by)}"] if self.by != ("pid",) else []
        options += ["latency"] * self.latency + ["ret"] * self.ret
        options += ["unsafe"] * self.unsafe
        options += [f"where={condition}" for condition in self.where]
        options += [f"fields={','.join(self.fields)}"] if self.fields else []
        return ",".join([self.point, *options])


def is_spec(text: str) -> bool:
    """Return whether it is written like a spec, right or wrong.

    No hook of the catalogue has a colon.
    """
    return ":" in text.partition("@")[0]


def parse(text: str) -> Spec:
    """Return the spec of a text. Raises SpecError with a sentence that says what to write."""
    if not text.isprintable():
        raise SpecError("a spec must consist of printable characters")
    point, *options = text.split(",")
    kind, colon, rest = point.partition(":")
    if not colon or kind not in KINDS:
        raise SpecError(
            f"{kind!r} is not a kind of hook: write {', '.join(KINDS[:-1])} or {KINDS[-1]}, such "
            "as kprobe:vfs_read"
        )
    where = _place(kind, rest)
    return _checked(Spec(kind=kind, **where, **_options(kind, options)))  # type: ignore[arg-type]


def _place(kind: str, rest: str) -> dict[str, object]:
    if kind in FUNCTIONS:
        if not _FUNCTION.fullmatch(rest):
            raise SpecError(f"{kind}: needs the name of a kernel function, such as {kind}:vfs_read")
        return {"place": rest}
    if kind == "rawtracepoint":
        if not _NAME.fullmatch(rest):
            raise SpecError("rawtracepoint: needs a tracepoint's name: rawtracepoint:sched_switch")
        return {"place": rest}
    if kind == "tracepoint":
        category, _, name = rest.partition(":")
        if not _NAME.fullmatch(category.replace("-", "_")) or not _NAME.fullmatch(name):
            raise SpecError("write tracepoint:CATEGORY:NAME, such as tracepoint:sched:sched_switch")
        return {"category": category, "place": name}
    path, _, symbol = rest.rpartition(":")
    symbol, plus, offset = symbol.partition("+")
    if not path.startswith("/") or not _SYMBOL.fullmatch(symbol):
        raise SpecError(
            f"write {kind}:/PATH:SYMBOL with the absolute path, such as "
            f"{kind}:/usr/bin/bash:readline"
        )
    try:
        number = int(offset, 0) if plus else 0
    except ValueError:
        number = -1
    if number < 0:
        raise SpecError(f"{offset!r} is not an offset: write it as +16 or +0x10")
    if number and kind == "uretprobe":
        raise SpecError("a return probe has no offset: leave it out, or write uprobe")
    return {"place": path, "symbol": symbol, "offset": number}


def _options(kind: str, words: list[str]) -> dict[str, object]:
    by: tuple[str, ...] = ("pid",)
    flags = {"latency": False, "ret": False, "unsafe": False}
    where: list[Condition] = []
    fields: list[str] = []
    listing = False  # fields=dev,rwbs: what follows is a field, too
    for word in words:
        name, equals, value = word.partition("=")
        listing = (listing and not equals) or word.startswith("fields=")
        if listing:
            fields.append(_field(value if equals else word))
        elif word in flags:
            flags[word] = True
        elif name == "by" and equals:
            by = _by(value)
        elif name == "where" and equals:
            where.append(_condition(kind, value))
        else:
            raise SpecError(
                f"{word!r} is not an option: use by=, latency, ret, unsafe, where= or fields="
            )
    return {"by": by, **flags, "where": tuple(where), "fields": tuple(dict.fromkeys(fields))}


def _by(value: str) -> tuple[str, ...]:
    asked = tuple(dict.fromkeys(value.split("+")))
    if wrong := [name for name in asked if name not in BY]:
        raise SpecError(f"by={wrong[0]} is not known: write {', '.join(BY[:-1])} or {BY[-1]}")
    if "none" in asked and len(asked) > 1:
        raise SpecError("by=none cannot be combined with other keys")
    return asked


def _field(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise SpecError(f"{name!r} is not a field name: write fields=dev,rwbs")
    return name


def _condition(kind: str, text: str) -> Condition:
    parts = _CONDITION.fullmatch(text)
    if parts is None:
        raise SpecError(f"{text!r} is not a condition: write where=pid==123 or where=comm==nginx")
    name, operator, value = parts.groups()
    if name not in OF_TASK and kind != "tracepoint":
        raise SpecError(f"where= takes {', '.join(OF_TASK)}; only tracepoint: has fields")
    if name in _TEXTS:
        if operator not in ("==", "!="):
            raise SpecError(f"{name} can be compared with == and != only")
        return Condition(name, operator, _text(name, value))
    try:
        number = int(value, 0)
    except ValueError:
        raise SpecError(f"{name} is compared with a number, not with {value!r}") from None
    if not -(2**63) <= number < 2**64:
        raise SpecError(f"{value} is not a 64-bit number")
    return Condition(name, operator, number)


def _text(name: str, value: str) -> str:
    if name == "comm" and not 0 < len(value.encode()) <= 15:
        raise SpecError("a process's name has 1 to 15 bytes: the kernel keeps no more")
    if name == "cgroup" and not value.startswith("/"):
        raise SpecError("write a cgroup as its path below the mount: /system.slice/x.service")
    return value


def _checked(spec: Spec) -> Spec:
    """Return the spec. Raises SpecError where options do not go together."""
    calls = spec.kind in FUNCTIONS | USER
    if not calls and (spec.latency or spec.reads_result):
        raise SpecError("a tracepoint has no return: latency and ret are for functions only")
    if spec.unsafe and not (spec.kind in USER and spec.of_return):
        raise SpecError("unsafe is for return probes on programs and libraries only: leave it out")
    if spec.offset and spec.of_return:
        raise SpecError("latency and ret need a whole function: leave the offset out")
    if spec.fields and spec.kind != "tracepoint":
        raise SpecError("fields= needs a tracepoint with a record: write tracepoint:")
    if len(spec.fields) > MOST_FIELDS:
        raise SpecError(f"at most {MOST_FIELDS} fields can be used at once")
    if spec.latency and any(c.name == "cpu" for c in spec.where):
        raise SpecError("where=cpu cannot be used with latency: a call may end on another CPU")
    return spec
