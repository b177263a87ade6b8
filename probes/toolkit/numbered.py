"""Things by numbers that stay: columns of two readings are compared by the numbers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from probes.arrays import np
from probes.columns.cells import Cells, CodedCells
from probes.columns.groups import grouped, words_of
from probes.kernel.cgroups import Paths
from probes.model import Fields

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T", bound=Hashable)
MOST_NUMBERED = 1 << 14
"""Things that have a number; beyond it numbers begin again."""


class Numbered(Generic[T]):
    """Things by numbers. What is not known (None) is -1."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.all: list[T] = []
        self._numbers: dict[T | None, int] = {None: -1}

    def of(self, things: Sequence[T | None]) -> NDArray[Any]:
        """Return their numbers."""
        for new in dict.fromkeys(things).keys() - self._numbers.keys():
            assert new is not None
            self._numbers[new] = len(self.all)
            self.all.append(new)
        return np.fromiter(map(self._numbers.__getitem__, things), "i4", len(things))

    def tidy(self) -> None:
        """Begin again if there are many; cells that were made keep what they have."""
        if len(self.all) > MOST_NUMBERED:
            self._begin()


class Texts(Numbered[str]):
    """Texts by numbers."""

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


def cgroup_cells(paths: Paths) -> Callable[[Fields], Cells]:
    """Return a maker of the paths of many entries' field `cgroup`."""
    texts = Texts()

    def make(entries: Fields) -> Cells:
        texts.tidy()
        ids, places = np.unique(entries["cgroup"], return_inverse=True)
        return texts.cells(paths.all_of(ids.tolist()), places.reshape(-1))

    return make
