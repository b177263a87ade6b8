"""Texts with stable numbers, by which columns of two readings are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

from probes.arrays import np
from probes.columns.cells import Cells, CodedCells
from probes.columns.groups import grouped, words_of
from probes.kernel.cgroups import Paths
from probes.model import Fields

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_TEXTS = 1 << 15
"""Texts that have a number; beyond it numbers begin again."""


class Texts:
    """Texts by numbers. Thread-safe."""

    def __init__(self) -> None:
        self.all = [""]  # 0 also stands where no text is known
        self._numbers: dict[str | None, int] = {None: -1}
        self._lock = Lock()

    def of(self, texts: Sequence[str | None]) -> NDArray[Any]:
        """Return the numbers of texts; -1 where one is not known."""
        with self._lock:
            for new in set(texts) - self._numbers.keys():
                assert new is not None
                self._numbers[new] = len(self.all)
                self.all.append(new)
        return np.fromiter(map(self._numbers.__getitem__, texts), "i4", len(texts))

    def cells(self, texts: Sequence[str | None], places: NDArray[Any] | None = None) -> CodedCells:
        """Return cells of texts. places: which of them each row has; all, one after the other."""
        numbers = self.of(texts)
        return self.coded(numbers if places is None else numbers[places])

    def coded(self, numbers: NDArray[Any]) -> CodedCells:
        """Return the cells of texts with these numbers."""
        text: Callable[[int], str] = self.all.__getitem__
        return CodedCells(np.maximum(numbers, 0), text, numbers >= 0)

    def by_values(self, text: Callable[..., str], *columns: NDArray[Any]) -> CodedCells:
        """Return the cells of what a function makes of integers, called once for each that is new.

        columns: its arguments.
        """
        groups = grouped(words_of(*columns))
        distinct = [column[groups.first].tolist() for column in columns]
        return self.cells(list(map(text, *distinct)), groups.of)


_texts = Texts()


def shared_texts() -> Texts:
    """Return the texts that all readers share, as rows go on from one rung to the next.

    Ask at each reading: they begin again once there are many.
    """
    global _texts
    if len(_texts.all) > MOST_TEXTS:
        _texts = Texts()
    return _texts


def cgroup_cells(paths: Paths) -> Callable[[Fields], Cells]:
    """Return a maker of the paths of many entries' field `cgroup`."""

    def make(entries: Fields) -> Cells:
        ids, places = np.unique(entries["cgroup"], return_inverse=True)
        return shared_texts().cells(paths.all_of(ids.tolist()), places.reshape(-1))

    return make
