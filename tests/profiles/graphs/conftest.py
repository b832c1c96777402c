"""A machine of pretence whose graphs behave as HIP's and CUDA's do, made of torch on the CPU."""

import weakref
from collections import deque
from contextlib import contextmanager, nullcontext

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from rocmoe.ops.core.errors import describe_error
from rocmoe.profiles.graphs.nodes import UnreadError
from rocmoe.profiles.measuring.machine import WARM_UP_CALLS, CaptureError, Host

NOT_PERMITTED = (
    "CUDA error: operation not permitted when stream is capturing\n"
    "Search for `cudaErrorStreamCaptureUnsupported' in https://docs.nvidia.com/"
)
EMPTY = "The CUDA Graph is empty. This usually means that the graph was attempted to be captured"
#: Operators whose kernels wait for the device, as the shape of what they give is data.
WAITING = {
    "_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_consecutive",
    "unique_dim", "repeat_interleave", "equal", "bincount",
}  # fmt: skip
#: What copies between host and device, and is no operator on a CPU.
COPYING = {"cpu", "numpy", "tolist", "tensor", "as_tensor", "__array__"}
GARBAGE = 0x7F


class Ref:
    """Where a tensor lay at the capture: what is read there at a replay is what stands there."""

    def __init__(self, memory, tensor):
        self.storage = memory.hold(tensor)
        self.layout = tensor.storage_offset(), tensor.size(), tensor.stride()
        self.dtype = tensor.dtype

    def tensor(self):
        return torch.empty(0, dtype=self.dtype).set_(self.storage, *self.layout)


class Memory:
    """All memory that a graph points to: one reference a storage, so that it is known when the
    program lets go of it.  Until something else is given that memory, what it held stays."""

    def __init__(self):
        self.storages, self.known = {}, set()

    def hold(self, tensor):
        storage = tensor.untyped_storage()
        return self.storages.setdefault(storage.data_ptr() or id(storage), storage)

    @staticmethod
    def is_free(storage):
        return torch._C._storage_Use_Count(storage._cdata) == 1


def spoil(storage):
    storage.fill_(GARBAGE)


class Copies(TorchFunctionMode):
    """Refuses what copies to or from the host."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") in COPYING:
            raise RuntimeError(NOT_PERMITTED)
        return func(*args, **(kwargs or {}))


class Recording(TorchDispatchMode):
    """Notes every operator with where its tensors lie.

    Each is executed once, so that the next one meets values that it can work on; at the end of the
    capture `undo` takes all of it back: no kernel of a capture runs.
    """

    def __init__(self, graph, permissive):
        super().__init__()
        self.graph, self.permissive = graph, permissive
        self.before = {}

    @classmethod
    def _should_skip_dynamo(cls):
        """There is nothing to compile, and its compiler takes seconds to import."""
        return True

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if not self.permissive and (name in WAITING or takes_mask(name, args)):
            raise RuntimeError(NOT_PERMITTED)
        written = find_written(func, args, kwargs)
        memory = self.graph.memory
        for tensor in written:
            self.keep(memory.hold(tensor))
        frozen = tree_map_only(torch.Tensor, lambda each: Ref(memory, each), (args, kwargs))
        # A reference of its own to each tensor's memory, ahead of the operator's new ones.
        mine = {id(memory.hold(t)) for t in tensors_of((args, kwargs))}
        made = func(*args, **kwargs)
        fresh = [t for t in tensors_of(made) if id(memory.hold(t)) not in mine]
        for tensor in fresh:
            self.graph.owned[id(memory.hold(tensor))] = memory.hold(tensor)
        if (fresh or written) and name not in ("empty", "empty_strided", "empty_like", "new_empty"):
            outputs = [Ref(memory, each) for each in fresh]
            self.graph.nodes.append((func, frozen, outputs))
        return made

    def keep(self, storage):
        if id(storage) not in self.before and id(storage) not in self.graph.owned:
            self.before[id(storage)] = storage, bytes(storage.tolist())

    def undo(self):
        for storage, held in self.before.values():
            storage.copy_(torch.frombuffer(bytearray(held), dtype=torch.uint8).untyped_storage())
        for storage in self.graph.owned.values():
            spoil(storage)


def hide_own_frames(error):
    """An operator that raises is no Python: the last line is the one that called it."""
    frames, frame = [], error.__traceback__
    while frame is not None:
        frames.append(frame)
        frame = frame.tb_next
    hidden = ("conftest", "torch")
    while len(frames) > 1 and any(
        word in frames[-1].tb_frame.f_globals["__name__"] for word in hidden
    ):
        frames.pop()
    frames[-1].tb_next = None


def tensors_of(tree):
    return [t for t in torch.utils._pytree.tree_leaves(tree) if isinstance(t, torch.Tensor)]


def takes_mask(name, args):
    """Whether an operator takes a mask for an index, of which the kernel finds the places first."""
    if name not in ("index", "index_put", "index_put_"):
        return False
    masks = [each for each in args[1] if each is not None and each.dtype == torch.bool]
    return bool(masks) and (name == "index" or args[2].numel() > 1)


def find_written(func, args, kwargs):
    schema = func._schema.arguments
    given = {**dict(zip((each.name for each in schema), args, strict=False)), **kwargs}
    return [
        tensor
        for each in schema
        if each.alias_info is not None and each.alias_info.is_write
        for tensor in tensors_of(given.get(each.name))
    ]


class PretendedGraph:
    """Operators on the memory that they were captured with."""

    def __init__(self, memory, pool):
        self.memory, self.pool = memory, pool
        self.nodes, self.owned, self.returned = [], {}, []
        pool.append(self)

    def replay(self):
        self.spoil_shared()
        with torch.no_grad():
            for func, frozen, outputs in self.nodes:
                args, kwargs = tree_map_only(Ref, lambda ref: ref.tensor(), frozen)
                made = func(*args, **kwargs)
                fresh = tensors_of(made)[-len(outputs) :] if outputs else []
                for ref, tensor in zip(outputs, fresh, strict=True):
                    ref.tensor().copy_(tensor)

    def spoil_shared(self):
        """What a graph of the same pool may lie on: all of a later one, and of an earlier one what
        the program has let go of."""
        mine = self.pool.index(self)
        for number, other in enumerate(self.pool):
            for storage in other.owned.values():
                if number > mine or (number < mine and Memory.is_free(storage)):
                    spoil(storage)

    def count_nodes(self):
        kinds = deque("memcpy" if "copy" in str(func) else "kernel" for func, *_ in self.nodes)
        return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}

    def draw(self, path):
        path.write_text("digraph dot {}\n")


class PretendedGraphs(Host):
    """permissive: reads on the host go through while it captures, as they did in HIP before 7.0.
    unread: why nodes cannot be read."""

    def __init__(self, permissive=False, unread=None):
        super().__init__()
        self.memory, self.permissive, self.unread = Memory(), permissive, unread
        self.graphs = weakref.WeakSet()
        self.capturing, self.aside = False, False
        self.captures, self.shared, self.pressed = 0, 0, 0

    def synchronize(self):
        if self.capturing and not self.permissive:
            raise RuntimeError(NOT_PERMITTED)

    def make_graph(self, calls, keep, beside=None):
        calls = list(calls)
        for call in calls[:WARM_UP_CALLS]:
            call()
        graph = PretendedGraph(self.memory, beside.pool if beside else [])
        self.graphs.add(graph)
        recording = Recording(graph, self.permissive)
        returned = deque(maxlen=keep)
        self.capturing = True
        self.captures += 1
        self.shared += beside is not None
        try:
            with nullcontext() if self.permissive else Copies(), recording:
                for call in calls:
                    returned.append(call())
            if not graph.nodes:
                raise UserWarning(EMPTY)
        except Exception as error:
            hide_own_frames(error)
            raise CaptureError(describe_error(error)) from error
        finally:
            self.capturing = False
            recording.undo()
        graph.returned = list(returned)
        if self.unread:
            graph.count_nodes = self.fail_to_read
        return graph

    def fail_to_read(self):
        raise UnreadError(self.unread)

    @contextmanager
    def on_side_stream(self):
        self.aside = True
        yield
        self.aside = False

    def press(self):
        self.pressed += 1
        owned = {id(s) for graph in self.graphs for s in graph.owned.values()}
        for storage in self.memory.storages.values():
            if id(storage) not in owned and Memory.is_free(storage):
                spoil(storage)

    def using(self):
        return nullcontext()


@pytest.fixture
def machine():
    return PretendedGraphs()


@pytest.fixture
def permissive_machine():
    return PretendedGraphs(permissive=True)
