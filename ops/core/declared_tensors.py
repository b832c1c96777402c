"""The tensors that a launch file declares for a kernel that serves no op."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rocmoe.ops.core.element_types import encode, is_float
from rocmoe.ops.core.guard import POISONS, FencedTensor
from rocmoe.ops.core.kernel_launch import view_tensor
from rocmoe.ops.core.launch_file import DeclaredTensor
from rocmoe.ops.gcn.machine.launch import Tensor


@dataclass(frozen=True)
class Memory:
    """A declared tensor in memory, poisoned around; view: what a launch is given."""

    declared: DeclaredTensor
    view: Tensor
    poison: int

    def read(self) -> NDArray[np.uint8]:
        """A copy of its bytes, u8 [elements, bytes of one]."""
        whole = self.view.memory[self.view.offset :][: self.view.extent]
        return np.array(whole.reshape(-1, self.declared.itemsize))

    def find_poison(self) -> NDArray[np.bool_]:
        """Of each byte, whether it holds the poison: bool, as `read`."""
        pattern = np.frombuffer(POISONS[self.poison].to_bytes(2, "little"), np.uint8)
        octets = self.read()
        return np.asarray(octets.reshape(-1) == np.resize(pattern, octets.size)).reshape(
            octets.shape
        )


def lay_out(declared: DeclaredTensor, poison: int) -> Memory:
    """A tensor with its fill, or with poison where it has none."""
    import torch

    octets = make_contents(declared)
    words = -(-math.prod(declared.shape) * declared.itemsize // 4)
    fenced = FencedTensor((words,), torch.int32, "contiguous", "cpu")
    padded = None if octets is None else np.resize(octets, 4 * words) if words else octets
    fenced.fill(None if padded is None else padded.view(np.int32), poison)
    whole = view_tensor(declared.name, fenced.tensor, {})
    view = Tensor(
        name=declared.name,
        memory=whole.memory,
        offset=whole.offset,
        shape=declared.shape,
        strides=declared.strides,
        itemsize=declared.itemsize,
    )
    return Memory(declared, view, poison)


def make_contents(declared: DeclaredTensor) -> NDArray[np.uint8] | None:
    """The bytes of a tensor's fill, None for poison.

    random: of floats standard normal numbers, of integers any bits.
    """
    count, kind = math.prod(declared.shape), declared.dtype
    if declared.fill == "poison":
        return None
    if declared.fill == "random":
        random = np.random.Generator(np.random.PCG64(declared.seed))
        if is_float(kind):
            return encode(random.standard_normal(count), kind)
        return np.frombuffer(random.bytes(count * declared.itemsize), np.uint8)
    if declared.fill == "arange":
        return encode(np.arange(count), kind)
    return encode(np.full(count, 1 if declared.fill == "ones" else 0), kind)
