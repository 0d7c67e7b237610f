"""A queue in which nobody's rush delays another's single postback: merchants in turn, each merchant's own in order."""

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(slots=True)
class _Line(Generic[Item]):
    items: deque[tuple[Item, int]]
    size: int = 0


class FairQueue(Generic[Item]):
    """Items by merchant, each with a size (how many postbacks it is). size_max: of all; line_max: of one merchant's."""

    def __init__(self, *, size_max: int, line_max: int) -> None:
        self._size_max = size_max
        self._line_max = line_max
        self._lines: OrderedDict[int, _Line[Item]] = OrderedDict()
        self.size = 0

    def add(self, merchant_id: int, item: Item, size: int) -> bool:
        """Put `item` last in its merchant's line; False where the queue, or that line, has no room."""
        line = self._lines.get(merchant_id)
        in_line = line.size if line is not None else 0
        if self.size + size > self._size_max or in_line + size > self._line_max:
            return False
        if line is None:
            line = self._lines[merchant_id] = _Line(deque())
        line.items.append((item, size))
        line.size += size
        self.size += size
        return True

    def take(self, size_max: int) -> list[Item]:
        """The next items, one of each merchant in turn, up to `size_max` in all, and at least one if there is any."""
        taken: list[Item] = []
        room = size_max
        while self._lines:
            merchant_id, line = next(iter(self._lines.items()))
            item, size = line.items[0]
            if taken and size > room:
                break
            line.items.popleft()
            line.size -= size
            self.size -= size
            room -= size
            taken.append(item)
            if line.items:
                self._lines.move_to_end(merchant_id)
            else:
                del self._lines[merchant_id]
        return taken
