"""Memory that tells what a candidate did to it: poison, red zones, unchanged inputs.

Outputs are filled with a bit pattern that is NaN in every float dtype and no likely integer, and
every tensor stands between red zones of the same pattern.  Two patterns alternate, so an element
that equals the poison of both calls was not written.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: 16-bit words, repeated: NaN as bf16, fp16 and fp32; 2147450879 and -65538 as int32.
POISONS = (0x7FFF, 0xFFFE)

#: Red zones hold at least this much, and at least one row of the tensor.
RED_ZONE_BYTES = 4096
STRIDED_GAP = 10

#: Memory that was handed out poisoned since `forget_unwritten`: by its address what tells whether
#: the storage still lives, and the poison.
_handed_out: dict[int, tuple[Any, int]] = {}

#: The torch operations that hand out memory as it is.
ALLOCATIONS = frozenset({"empty", "empty_like", "empty_strided", "new_empty", "resize_"})


class FencedTensor:
    """A tensor inside a buffer of its own with red zones on both sides.

    layout: one of `spec.LAYOUTS`; row_pitch: of `OpSpec`, where the layout needs one.  The same
    memory serves every call, so that a candidate that remembers addresses meets new contents.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: Any,
        layout: str,
        device: str,
        row_pitch: int | None = None,
    ) -> None:
        import torch

        width = shape[-1] if shape else 1
        row = width + (STRIDED_GAP if layout == "strided" and len(shape) > 1 else 0)
        if row_pitch is not None and layout == "qkv_views" and len(shape) > 1:
            row = row_pitch
        self.strides = _row_strides(shape, row)
        item = torch.empty((), dtype=dtype).element_size()
        zone = 256 * math.ceil(max(RED_ZONE_BYTES, row * item) / 256) // item
        self.start = zone + (1 if layout == "offset" else 0)
        self.length = self.start + math.prod(shape[:-1]) * row + zone
        self.buffer = torch.empty(self.length, dtype=dtype, device=device)
        self.tensor = torch.as_strided(self.buffer, shape, self.strides, self.start)
        self._words = self.buffer.view(torch.int16)
        self._before = self._words.clone()

    def fill(self, values: NDArray[Any] | None, poison: int) -> None:
        """Poison the whole buffer, then lay `values` into the tensor if there are any."""
        import torch

        self._words.fill_(_signed(POISONS[poison]))
        if values is None:
            _note_unwritten(self.buffer.untyped_storage(), poison)
        else:
            _handed_out.pop(self.buffer.untyped_storage().data_ptr(), None)
            self.tensor.copy_(torch.from_numpy(np.ascontiguousarray(values)))
        self._before.copy_(self._words)

    def find_damage(self, may_write: NDArray[np.bool_] | bool) -> list[tuple[str, tuple[int, ...]]]:
        """What changed since `fill` outside `may_write`: words, and the index inside the tensor."""
        import torch

        changed = (self._words != self._before).view(self.length, -1).any(dim=1)
        if not bool(changed.any()):
            return []
        allowed = torch.zeros(self.length, dtype=torch.bool, device=self.buffer.device)
        inside = torch.as_strided(allowed, self.tensor.shape, self.strides, self.start)
        inside.copy_(torch.as_tensor(may_write))
        places = torch.nonzero(changed & ~allowed).flatten().tolist()
        return [self._locate(place) for place in places[:1000]]

    def _locate(self, place: int) -> tuple[str, tuple[int, ...]]:
        item = self.buffer.element_size()
        shape, offset = tuple(self.tensor.shape), place - self.start
        if offset < 0:
            return f"{-offset * item} bytes before the first element", ()
        index, rest = [], offset
        for stride in self.strides:
            index.append(rest // stride)
            rest %= stride
        if all(i < n for i, n in zip(index, shape, strict=True)):
            return "inside", tuple(index)
        past = offset - sum((n - 1) * s for n, s in zip(shape, self.strides, strict=True)) - 1
        if past >= 0:
            return f"{past * item} bytes past the last element", ()
        row = ", ".join(map(str, index[:-1]))
        return f"{(index[-1] - shape[-1]) * item} bytes past row [{row}]", ()


def find_poison(tensor: Any, poison: int) -> NDArray[np.bool_]:
    """True for the elements of a tensor that hold nothing but the poison."""
    import torch

    flat = tensor.detach().contiguous().view(-1)
    words = flat.view(torch.int16).view(len(flat), -1) if len(flat) else flat.view(0, 1)
    held = (words == _signed(POISONS[poison])).all(dim=1)
    return np.asarray(held.view(tensor.shape).cpu().numpy())


@contextmanager
def poisoned_allocations(poison: int) -> Iterator[None]:
    """Fill what `torch.empty` and its kin hand out inside the block with poison."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Poisoning(TorchDispatchMode):  # type: ignore[no-untyped-call]
        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            """Torch's own question: whether to keep its compiler out of this class, for which it
            imports the compiler.  There is none to keep out before a candidate compiles."""
            return "torch._dynamo" in sys.modules

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            made = func(*args, **(kwargs or {}))
            if func.overloadpacket.__name__ in ALLOCATIONS:
                _poison_storage(made, poison)
            return made

    with Poisoning():  # type: ignore[no-untyped-call]
        yield


def forget_unwritten() -> None:
    """Start anew: memory handed out before is no longer known as such."""
    _handed_out.clear()


def find_unwritten(memory: NDArray[np.uint8], itemsize: int = 2) -> NDArray[np.bool_] | None:
    """Of each byte of a storage, whether it was handed out poisoned and still holds that; None for
    memory that was not handed out so.

    itemsize: bytes of an element, all of which hold poison where none of it was written.
    """
    storage, poison = _handed_out.get(memory.ctypes.data, (None, 0))
    unit = max(itemsize, 2)
    # The address of a storage that is gone may be that of another by now.
    if storage is None or storage.expired() or memory.size % unit:
        return None
    held = (memory.view(np.uint16) == POISONS[poison]).reshape(-1, unit // 2).all(axis=1)
    return np.asarray(np.repeat(held, unit))


def _note_unwritten(storage: Any, poison: int) -> None:
    from torch.multiprocessing.reductions import StorageWeakRef

    if storage.device.type == "cpu":
        living = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
        _handed_out[storage.data_ptr()] = (living, poison)


def _poison_storage(tensor: Any, poison: int) -> None:
    import torch

    storage = tensor.untyped_storage()
    _note_unwritten(storage, poison)
    if storage.nbytes() % 2 == 0:
        words = torch.empty(0, dtype=torch.int16, device=tensor.device).set_(storage)
        words.fill_(_signed(POISONS[poison]))


def _row_strides(shape: tuple[int, ...], row: int) -> tuple[int, ...]:
    strides = [1, row][: len(shape)]
    for size in reversed(shape[1:-1]):
        strides.append(strides[-1] * size)
    return tuple(max(stride, 1) for stride in reversed(strides))


def _signed(word: int) -> int:
    return word - 0x10000 if word >= 0x8000 else word
