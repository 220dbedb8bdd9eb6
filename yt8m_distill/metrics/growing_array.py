"""A one-dimensional array that grows at its end."""

from __future__ import annotations

import numpy as np


class GrowingArray:
    """Entries of one numpy dtype in one block of memory, which doubles when it is full.

    An append costs the same per entry for long and short arrays, and no memory but that of the entries. (The
    part of a large block that is not written yet takes address space, but no memory.)
    """

    def __init__(self, dtype):
        self._block = np.empty(1024, dtype)
        self._length = 0

    @property
    def dtype(self):
        """The numpy dtype of an entry."""
        return self._block.dtype

    def append(self, entries):
        """Adds a one-dimensional array of entries."""
        length = self._length + len(entries)
        if length > len(self._block):
            block = np.empty(max(length, 2 * len(self._block)), self.dtype)
            block[: self._length] = self.view()
            self._block = block
        self._block[self._length : length] = entries
        self._length = length

    def view(self):
        """The entries so far, not copied; the next append may move them."""
        return self._block[: self._length]
