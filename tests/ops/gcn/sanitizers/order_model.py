"""A slow model of what barriers and waits order, from the text of a program and a log of its run.

It shares nothing with the sanitizers but the machine's announcements of accesses: registers are
read from the text, counters are queues in Python, and conflicts are found in a table of all bytes
that were touched between two barriers.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from rocmoe.ops.gcn.machine.machine import Machine
from rocmoe.ops.gcn.machine.observer import Access, Observer
from rocmoe.ops.gcn.machine.step import Step

LOAD, STORE, ATOMIC = range(3)
KINDS = {"load": LOAD, "store": STORE, "atomic": ATOMIC}
LDS_BASE = 1 << 48  # apart from all addresses of global memory
_REGISTER = re.compile(r"\b([vsa])(?:(\d+)\b|\[(\d+):(\d+)\])")
_RETURNS = re.compile(r"ds_(read|bpermute|permute|swizzle)|ds_\w+_rtn|(buffer|global)_load|s_load")
_ATOMIC_RETURNS = re.compile(r"(buffer|global)_atomic\w+ .*\b(glc|sc0)\b")


@dataclass(frozen=True)
class Text:
    """counter: `vm`, `lgkm` or none. fills: registers that its return writes; uses: all others."""

    name: str
    counter: str
    in_order: bool
    fills: frozenset[str]
    uses: frozenset[str]
    waits: dict[str, int]


def read_text(text: str) -> Text:
    name, _, rest = text.partition(" ")
    counter = ""
    if name.startswith(("buffer_", "global_")) and not name.startswith("buffer_inv"):
        counter = "" if name.startswith("buffer_wbinvl1") else "vm"
    elif name.startswith(("ds_", "s_load")):
        counter = "lgkm"
    operands = rest.split(", ")
    returns = _RETURNS.match(name) or _ATOMIC_RETURNS.match(text)
    fills = _registers(operands[0]) if counter and returns and not text.endswith(" lds") else set()
    uses = _registers(", ".join(operands[1:]) if fills else rest)
    waits = dict(re.findall(r"(vm|lgkm)cnt\((\d+)\)", rest)) if name == "s_waitcnt" else {}
    return Text(
        name,
        counter,
        not name.startswith("s_load"),
        frozenset(fills),
        frozenset(uses),
        {counter: int(count) for counter, count in waits.items()},
    )


def _registers(words: str) -> set[str]:
    found = set()
    for file, one, first, last in _REGISTER.findall(words):
        numbers = [int(one)] if one else range(int(first), int(last) + 1)
        found |= {f"{file}{number}" for number in numbers}
    return found


@dataclass
class Touched:
    """Bytes that one wave touches in one instruction, and what it stores, -1 if that is unknown."""

    kind: int
    octets: np.ndarray
    values: np.ndarray


@dataclass
class Recorder(Observer):
    """traces: by (workgroup, wave) the instructions executed. touched: by that and the position."""

    traces: dict = field(default_factory=lambda: defaultdict(list))
    touched: dict = field(default_factory=lambda: defaultdict(list))

    def step(self, machine: Machine, step: Step) -> None:
        for row in range(machine.n):
            self.traces[machine.place(row)].append(step.index)

    def access(self, machine: Machine, access: Access) -> None:
        if access.scalar:
            return
        if access.to_lds is not None:
            self._note(machine, access, access.to_lds, STORE, "lds")
        if access.kind != "load" or access.to_lds is None:
            self._note(machine, access, access.addresses, KINDS[access.kind], access.space)

    def _note(self, machine, access, addresses, kind, space) -> None:
        for row in range(machine.n):
            lanes = np.flatnonzero(access.active[row])
            if not len(lanes):
                continue
            base = LDS_BASE if space == "lds" else 0
            octets = base + addresses[row, lanes][:, None] + np.arange(access.size)
            values = np.full(octets.shape, -1)
            if kind == STORE and access.data is not None:
                for at in range(access.size):
                    word = machine.vector(access.data + at // 4)[row, lanes]
                    values[:, at] = word >> np.uint32(8 * (at % 4) + access.shift) & np.uint32(255)
            place = machine.place(row)
            at = len(self.traces[place]) - 1
            self.touched[place, at].append(Touched(kind, octets.reshape(-1), values.reshape(-1)))


@dataclass
class Pending:
    """An access under way. begun, over: barrier intervals in which it was issued and returned."""

    text: Text
    touched: list[Touched]
    wave: int
    begun: int
    over: int = -1
    is_published: bool = True


class Model:
    """Of a program, and the log of one run of it."""

    def __init__(self, program, recorder: Recorder) -> None:
        self.texts = [read_text(each.text) for each in program.instructions]
        self.recorder = recorder
        self.groups = sorted({group for group, _ in recorder.traces})

    def find(self, index: int = -1, kind: str = "", slack: int = 0) -> str:
        """What can go wrong first, or nothing, without a barrier or one counter of a wait; or with
        so many fewer waited for."""
        self._dropped = (index, kind.removesuffix("cnt"), slack)
        stores, loads = [], []
        for group in self.groups:
            accesses: list[Pending] = []
            for wave in sorted(wave for g, wave in self.recorder.traces if g == group):
                wrong = self._walk(group, wave, accesses)
                if wrong:
                    return wrong
            if wrong := find_conflict(accesses):
                return wrong
            unpublished = [a for a in accesses if a.text.counter == "vm" and not a.is_published]
            stores += [(group, t.octets) for a in unpublished for t in a.touched if t.kind == STORE]
            loads += [(group, t.octets) for a in accesses for t in a.touched if t.kind == LOAD]
        for writer, stored in stores:
            for reader, loaded in loads:
                if writer != reader and np.isin(stored, loaded).any():
                    return f"workgroup {reader} reads what was not published"
        return ""

    def _walk(self, group: int, wave: int, accesses: list[Pending]) -> str:
        index, kind, slack = self._dropped
        queues: dict[str, list[Pending]] = {"vm": [], "lgkm": []}
        interval = 0
        for at, step in enumerate(self.recorder.traces[group, wave]):
            text = self.texts[step]
            if text.name == "s_barrier":
                interval += not (step == index and kind == "barrier")
            for counter, left in text.waits.items():
                dropped = step == index and kind == counter
                if slack or not dropped:
                    _return(queues[counter], left + (slack if dropped else 0), interval)
            if wrong := _misuse(text, [each for queue in queues.values() for each in queue]):
                return wrong
            if not text.counter:
                continue
            if "atomic" in text.name:
                for each in queues["vm"]:
                    each.is_published = False
            touched = self.recorder.touched.get(((group, wave), at), [])
            new = Pending(text, touched, wave, interval)
            if text.counter == "lgkm" and _overlaps(new, queues["vm"]):
                return f"{text.name} touches LDS that is being filled"
            queues[text.counter].append(new)
            accesses.append(new)
        for queue in queues.values():
            _return(queue, 0, interval)
        return ""


def _return(queue: list[Pending], left: int, interval: int) -> None:
    if left and not all(each.text.in_order for each in queue):
        return
    while len(queue) > left:
        queue.pop(0).over = interval


def _misuse(text: Text, pending: list[Pending]) -> str:
    for each in pending:
        again = text.counter == each.text.counter and text.in_order and each.text.in_order
        if each.text.fills & (text.uses | (frozenset() if again else text.fills)):
            return f"{text.name} uses what {each.text.name} has yet to fill"
    return ""


def _overlaps(access: Pending, pending: list[Pending]) -> bool:
    filled = [t.octets for each in pending for t in each.touched if t.octets[0] >= LDS_BASE]
    own = [t.octets for t in access.touched]
    return bool(own and filled and np.isin(np.concatenate(own), np.concatenate(filled)).any())


def find_conflict(accesses: list[Pending]) -> str:
    """Two waves of a workgroup that touch a byte in one interval, one of which changes it."""
    rows = [row for access in accesses for row in _rows(access)]
    if not rows:
        return ""
    interval, octets, wave, kind, value = (
        np.concatenate(column) for column in zip(*rows, strict=True)
    )
    key = octets * (int(interval.max()) + 1) + interval
    _, cell = np.unique(key, return_inverse=True)
    stores, loads, atomics = (_span(cell, wave, kind == each) for each in (STORE, LOAD, ATOMIC))
    values = _span(cell, value, kind == STORE)
    different = (values[0] != values[1]) | (values[0] == -1)
    wrong = (
        (_apart(stores, stores) & different)
        | _apart(stores, loads)
        | _apart(stores, atomics)
        | _apart(loads, atomics)
    )
    return "a byte is touched by two waves" if wrong.any() else ""


def _rows(access: Pending) -> Iterator[tuple[np.ndarray, ...]]:
    for touched in access.touched:
        in_lds = touched.octets[0] >= LDS_BASE
        # Memory instructions of a workgroup pass one cache in order; LDS has several queues.
        last = access.over if in_lds else access.begun
        for interval in range(access.begun, last + 1):
            same = (np.full(touched.octets.shape, each) for each in (access.wave, touched.kind))
            yield np.full(touched.octets.shape, interval), touched.octets, *same, touched.values


def _span(cell, values, some):
    """Smallest and largest value in each cell, the first the larger where there is none."""
    low = np.full(cell.max() + 1, 1 << 30)
    high = np.full(cell.max() + 1, -2)
    np.minimum.at(low, cell[some], values[some])
    np.maximum.at(high, cell[some], values[some])
    return low, high


def _apart(first, second):
    """Cells that waves of both groups touched, and not one wave alone."""
    both = (first[0] <= first[1]) & (second[0] <= second[1])
    return both & ~((first[0] == first[1]) & (second[0] == second[1]) & (first[0] == second[0]))
