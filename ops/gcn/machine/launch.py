"""What a launch is made of: tensors, the kernarg segment, grid and block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.errors import RocmoeError

#: Lanes of a workgroup that the hardware can hold.
MAX_LANES = 1024


@dataclass(frozen=True)
class Tensor:
    """An argument in memory.

    memory: the whole storage, read and written in place; views of one storage pass the same array.
    offset: bytes from its start to the first element. strides: in elements, none negative.
    unwritten: of each byte of `memory`, whether nothing was stored there yet; None: all was.
    """

    name: str
    memory: NDArray[np.uint8]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    itemsize: int
    unwritten: NDArray[np.bool_] | None = None

    @property
    def extent(self) -> int:
        """Bytes from the first element to the end of the last."""
        if 0 in self.shape:
            return 0
        last = sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        return (last + 1) * self.itemsize


@dataclass(frozen=True)
class Slot:
    """Bytes of the kernarg segment: a value, or the 8 bytes of a tensor's address."""

    offset: int
    value: bytes | Tensor


@dataclass(frozen=True)
class Launch:
    """grid: in workgroups; block: in lanes; lds_bytes: those that the launch adds to the kernel's
    own.  Raises RocmoeError for a workgroup that no GPU can hold."""

    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    slots: tuple[Slot, ...]
    lds_bytes: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.lanes <= MAX_LANES:
            raise RocmoeError(f"a workgroup of {self.lanes} lanes; wanted 1 to {MAX_LANES}")

    @property
    def workgroups(self) -> int:
        return self.grid[0] * self.grid[1] * self.grid[2]

    @property
    def lanes(self) -> int:
        """Lanes of a workgroup."""
        return self.block[0] * self.block[1] * self.block[2]

    @property
    def waves(self) -> int:
        """Waves of a workgroup."""
        return -(-self.lanes // 64)
