"""The filter line: words and comparisons, all of which must be true of a row; `!` negates one.

    nginx              somewhere in the row        comm:nginx       in that column
    !10.0.1.21         nowhere in it               comm=nginx       exactly, in that column
    "two words"        spaces and all              srtt>50ms  drops>=1k  rx_bytes<10MB  fail>5%

A column is named by its name or title, or a part of either; if several match, one of them must
fulfil the condition. An unknown value is neither greater nor less than any. A word that is an
interface's alternative name matches its name, too.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NoReturn

from probes import units
from probes.arrays import np
from probes.columns.cells import NumberCells
from probes.units import Unit
from tui.table.fields import Field, TableRow, label
from tui.table.lines import Span
from tui.table.many_records import ManyRecords
from tui.table.number_texts import may_be_part

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]

Test = Callable[[TableRow], bool]


Altnames = Callable[[], Mapping[str, str]]
"""Interfaces' current alternative names, in lower case, and the name of each."""


def no_altnames() -> Mapping[str, str]:
    return {}


class FilterError(ValueError):
    """A text that is not a filter; one sentence."""


@dataclass(frozen=True, slots=True)
class Term:
    """One condition. says: it in words. among: the same of many records, as a flag for each."""

    says: str
    test: Test
    among: Callable[[ManyRecords], Flags]


@dataclass(frozen=True, slots=True)
class RowFilter:
    """A test of records that all conditions are true of."""

    terms: Sequence[Term]

    def __call__(self, record: TableRow) -> bool:
        return all(term.test(record) for term in self.terms)

    def among(self, records: ManyRecords) -> Flags:
        """Return which of many records it keeps."""
        return _all_of([term.among(records) for term in self.terms])


def _all_of(flags: Sequence[Flags]) -> Flags:
    found: Flags = np.logical_and.reduce(flags)
    return found


def kept_of(keep: Test, records: ManyRecords) -> Flags:
    """Return which records a test keeps."""
    if isinstance(keep, RowFilter):
        return keep.among(records)
    return np.array([keep(record) for record in records], bool)


_TOKEN = re.compile(r'!?(?:[^\s"]|"[^"]*"?)+')
_COMPARES = re.compile(r"([A-Za-z][\w/.]*)(>=|<=|!=|>|<|=|:)(.*)", re.DOTALL)
_NUMBER = re.compile(r"([+-]?\d+(?:\.\d*)?|\.\d+)([A-Za-zµ%]*)(?:/s)?")
_ORDER = {
    ">": ("above", operator.gt),
    "<": ("below", operator.lt),
    ">=": ("at least", operator.ge),
    "<=": ("at most", operator.le),
    "=": ("is", operator.eq),
    "!=": ("is not", operator.ne),
}
_NS = {"ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "m": 6e10, "min": 6e10, "h": 3.6e12}
_PREFIX = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def parse(text: str, fields: Sequence[Field], altnames: Altnames = no_altnames) -> Test | None:
    """Return a test for records; None if the text is empty. Raises FilterError."""
    return _all(terms_of(text, fields, altnames))


def parse_so_far(
    text: str, fields: Sequence[Field], altnames: Altnames = no_altnames
) -> Test | None:
    """Parse a filter that is still being typed: ignore an incomplete condition."""
    terms: list[Term] = []
    for token in _TOKEN.findall(text):
        with suppress(FilterError):
            terms += terms_of(token, fields, altnames)
    return _all(terms)


def _all(terms: Sequence[Term]) -> Test | None:
    return RowFilter(terms) if terms else None


def reading(text: str, fields: Sequence[Field], altnames: Altnames = no_altnames) -> Span:
    """Explain the filter; or say what is wrong with it, as "bad"; if empty, give an example."""
    try:
        terms = terms_of(text, fields, altnames)
    except FilterError as wrong:
        return label(f"! {wrong}"), "bad"
    if not terms:
        return f"{_example(fields)}; Tab: columns", "muted"
    return label("= " + " and ".join(t.says for t in terms)), "muted"


def terms_of(
    text: str, fields: Sequence[Field], altnames: Altnames = no_altnames
) -> tuple[Term, ...]:
    """Return every condition in the text. Raises FilterError."""
    return tuple(_terms(text, fields, altnames))


def _terms(text: str, fields: Sequence[Field], altnames: Altnames) -> Iterator[Term]:
    for token in _TOKEN.findall(text):
        body = token.removeprefix("!")
        if body:
            term = _term(body, fields, altnames)
            yield term if body is token else _denied(term)


def _denied(term: Term) -> Term:
    return Term(
        f"not {term.says}",
        lambda record: not term.test(record),
        lambda records: ~term.among(records),
    )


def _term(token: str, fields: Sequence[Field], altnames: Altnames) -> Term:
    compares = _COMPARES.fullmatch(token)
    if compares is None:
        return _anywhere(token, fields, altnames)
    name, sign, wanted = compares[1], compares[2], compares[3].replace('"', "")
    found = columns_of(name, fields)
    if not found:
        if sign == ":":  # 10.0.0.5:443 and fe80::1 have colons of their own
            return _anywhere(token, fields, altnames)
        _refuse(units.no_such("column", name, _names(fields).split(", ")))
    if not compares[3]:
        _refuse(f"{name}{sign} what? {_example(found)}")
    asked = _Word(wanted.lower(), altnames)
    terms = [t for t in (_compared(f, sign, wanted, asked, len(found) > 1) for f in found) if t]
    if not terms:
        _refuse(f"{name} is text: {name}:{wanted} or {name}={wanted}")
    says = " or ".join(t.says for t in terms)
    return Term(
        says if len(terms) == 1 else f"({says})",
        lambda record: any(t.test(record) for t in terms),
        lambda records: ~_all_of([~t.among(records) for t in terms]),
    )


def _refuse(sentence: str) -> NoReturn:
    raise FilterError(sentence)


class _Word:
    """Text to look for; an interface's alternative name also finds its name as a whole."""

    def __init__(self, word: str, altnames: Altnames) -> None:
        self.word, self._altnames = word, altnames

    def __str__(self) -> str:
        name = self._name()
        return f'"{self.word}" ({name})' if name else f'"{self.word}"'

    def within(self, text: str) -> bool:
        if self.word in text:
            return True
        name = self._name()
        return bool(name) and _whole(name).search(text) is not None

    def found_in(self, texts: list[str]) -> list[bool]:
        """Return which of the texts have it."""
        word, name = self.word, self._name()
        if not name:
            return [word in text for text in texts]
        search = _whole(name).search
        return [word in text or search(text) is not None for text in texts]

    def equal_to(self, texts: list[str]) -> list[bool]:
        """Return which of the texts are it."""
        wanted = {self.word, self._name() or self.word}
        return [text in wanted for text in texts]

    def equals(self, text: str) -> bool:
        return text == self.word or (bool(text) and text == self._name())

    @property
    def is_name(self) -> bool:
        """Whether it is an alternative name."""
        return bool(self._name())

    def _name(self) -> str:
        return self._altnames().get(self.word, "").lower()


@lru_cache(64)
def _whole(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w-])")


def _anywhere(token: str, fields: Sequence[Field], altnames: Altnames) -> Term:
    word = _Word(token.replace('"', "").lower(), altnames)
    fields = [field for field in fields if field.searched]

    def test(record: TableRow) -> bool:
        text = " ".join([record.name, *(f.text(record, False) for f in fields)])
        return word.within(text.lower())

    def among(records: ManyRecords) -> Flags:
        found = _near(records, word, fields)
        if " " in word.word:  # what is beside each other may have it only together
            places = np.flatnonzero(found)
            found[places] = records.finds_whole(fields, places, word.found_in)
        return found

    return Term(f"{word} anywhere", test, among)


def _near(records: ManyRecords, word: _Word, fields: Sequence[Field]) -> Flags:
    """Return which records have each part of the word between spaces, in a name or a text."""
    parts = word.word.split(" ")
    words = [word] if len(parts) == 1 else [_Word(part, no_altnames) for part in parts]
    return _all_of([_in_any(records, part, fields) for part in words])


def _in_any(records: ManyRecords, word: _Word, fields: Sequence[Field]) -> Flags:
    found = records.finds_name(word.found_in)
    of_numbers = word.is_name or may_be_part(word.word)
    for field in fields:
        if of_numbers or not records.has_numbers(field):
            found |= records.finds(field, word.found_in)
    return found


def _compared(
    field: Field, sign: str, wanted: str, word: _Word, one_of_several: bool
) -> Term | None:
    """Compare numbers; None if the column cannot be compared so."""
    text = field.title
    if sign == ":" and field.unit is not Unit.NUMBER:
        return Term(
            f"{text} has {word}",
            lambda record: word.within(_text(record, field)),
            lambda records: records.finds(field, word.found_in),
        )
    if not field.right:
        if sign not in ("=", "!="):
            return None
        says, equal = _ORDER[sign][0], sign == "="
        return Term(
            f"{text} {says} {word}",
            lambda record: word.equals(_text(record, field)) is equal,
            lambda records: records.finds(field, word.equal_to) == equal,
        )
    if wanted == "-" and sign in (":", "=", "!="):
        known = sign == "!="
        says = "is known" if known else "is unknown"
        return Term(
            f"{text} {says}",
            lambda record: (record.values.get(field.name) is not None) is known,
            lambda records: records.known(field) == known,
        )
    try:
        number = number_of(wanted, field)
    except FilterError:
        if one_of_several and sign == ":":
            return None
        raise
    says, holds = _ORDER["=" if sign == ":" else sign]

    def test(record: TableRow) -> bool:
        value = record.values.get(field.name)
        return isinstance(value, int | float) and bool(holds(value, number))

    def among(records: ManyRecords) -> Flags:
        cells = records.column(field.name)
        if isinstance(cells, NumberCells):
            found: Flags = cells.flags() & holds(_comparable(cells.raw, number), number)
            return found
        values = [] if cells is None else cells.values()
        fits = [isinstance(v, int | float) and bool(holds(v, number)) for v in values]
        return np.array(fits or [False] * len(records), bool)

    return Term(f"{text} {says} {units.show(number, field.unit)}", test, among)


def _comparable(raw: NDArray[Any], number: float) -> NDArray[Any]:
    """Return numbers that can be compared with one that 64 bits may not hold."""
    return raw.astype("f8") if abs(number) >= 1 << 63 else raw


def _text(record: TableRow, field: Field) -> str:
    return field.text(record, False).lower()


def number_of(text: str, field: Field) -> float:
    """Return the number in the column's own unit. Raises FilterError."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        _refuse(f"{text!r} is not a number for {field.title}: {_such_as(field)}")
    number, suffix = float(match[1]), match[2]
    factor = _factor(suffix, field.unit)
    if factor is None or (not suffix and number and field.unit in (Unit.NS, Unit.US)):
        what = f"{suffix!r} is not a unit of" if suffix else "give the unit of"
        _refuse(f"{what} {field.title}: {_such_as(field)}")
    value = number * factor
    if not math.isfinite(value):
        _refuse(f"{text[:12]}... is too large for {field.title}: {_such_as(field)}")
    return int(value) if value == int(value) else value


def _factor(suffix: str, unit: Unit) -> float | None:
    """Return what the suffix multiplies by; None if the unit has no such suffix."""
    match unit:
        case Unit.NS | Unit.US:
            factor = _NS.get(suffix.lower()) if suffix else 1
            return factor / 1000 if factor and suffix and unit is Unit.US else factor
        case Unit.PERCENT:
            return 1 if suffix in ("", "%") else None
        case Unit.BYTES:
            return _of_bytes(suffix)
    step = _PREFIX.get(suffix.lower())
    return None if step is None else float(1000**step)


def _of_bytes(suffix: str) -> float | None:
    """Return a factor as the screen shows bytes: B by 1024, b (bits) by 1000."""
    bits = suffix.endswith(("b", "bit")) and not suffix.endswith("ib")
    prefix = suffix.removesuffix("bit").rstrip("bB").removesuffix("i").lower()
    step = _PREFIX.get(prefix)
    if step is None:
        return None
    return 1000**step / 8 if bits else float(1024**step)


# Columns, by what people call them


def names_of(field: Field) -> tuple[str, str]:
    """Return its name, as in JSON, without a rate's ending; and its title as one word."""
    return short(field), field.title.lower().replace(" ", "").removesuffix("/s")


def short(field: Field) -> str:
    return field.name.removesuffix("_per_s")


def columns_of(name: str, fields: Sequence[Field]) -> list[Field]:
    """Return the columns that a name may mean: that of the name, else all that contain it."""
    wanted = name.lower().removesuffix("/s").removesuffix("_per_s")
    for fits in (str.__eq__, str.startswith, str.__contains__):
        found = [f for f in fields if any(fits(known, wanted) for known in names_of(f))]
        if found:
            return found[:1] if fits is str.__eq__ else found
    return []


def complete(text: str, fields: Sequence[Field]) -> tuple[str, str]:
    """Complete the last word to a column's name, as far as that is unambiguous.

    Return the text, and the candidates if there are several.
    """
    head, word = re.fullmatch(r"(.*?)(!?[\w/.]*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    if head and not head[-1].isspace():
        return text, ""  # a value is being typed
    deny, word = word[: word.startswith("!")], word.removeprefix("!")
    found = columns_of(word, fields) if word else list(fields)
    found = [f for f in found if f.title != "#"]
    if len(found) == 1:
        return f"{head}{deny}{short(found[0])}{':' if not found[0].right else '>'}", ""
    names = [short(f) for f in found]
    clear = _common(names) if word and names and all(n.startswith(word) for n in names) else word
    return f"{head}{deny}{clear}", label(_names(found) or f"no column has {word!r} in its name")


def _common(names: Sequence[str]) -> str:
    """Return the common beginning."""
    columns = zip(*names, strict=False)
    return "".join(c[0] for c in takewhile(lambda c: len(set(c)) == 1, columns))


def _names(fields: Sequence[Field]) -> str:
    return ", ".join(short(f) for f in fields if f.title != "#")


def _example(fields: Sequence[Field]) -> str:
    """Return an example of each kind of condition that these columns allow."""
    text = next((f for f in fields if not f.right), None)
    scaled = next((f for f in fields if f.right and f.unit is not Unit.NUMBER), None)
    such = [f"{short(text)}:word"] if text else []
    such += [f"{short(scaled)}>{_LIKE.get(scaled.unit, '1k')}"] if scaled else []
    such += ["!word leaves out"] if len(fields) > 1 else []
    return f"such as {', '.join(such)}" if such else f"such as {_names(fields)}=80"


def _such_as(field: Field) -> str:
    like = _LIKE.get(field.unit, "80" if field.unit is Unit.NUMBER else "1k")
    return f"such as {short(field)}>{like}"


_LIKE = {Unit.NS: "50ms", Unit.US: "50ms", Unit.BYTES: "10MB", Unit.PERCENT: "5%"}
