"""The trials of a graph in one process: each replays one in its own way and holds it to eager runs.

A trial gives words on what was done; it raises `FaultError` for what went wrong, `CaptureError`
where nothing could be captured, and `NotTriedError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from rocmoe.ops.core.errors import describe_error
from rocmoe.profiles.graphs import record
from rocmoe.profiles.graphs.draws import (
    LARGEST_CALL,
    Draw,
    draw_larger,
    list_changed_counts,
    list_settings,
)
from rocmoe.profiles.graphs.nodes import UnreadError
from rocmoe.profiles.graphs.record import GraphTask
from rocmoe.profiles.graphs.rig import POISON, Rig, Subject
from rocmoe.references.judging.elementwise import digest

#: Looks at the answers of many replays: between two of them they go on back to back.
LOOKS = 8
#: Replays under pressure.
PRESSED = 6
LARGE_NODES = 200


class NotTriedError(Exception):
    """A trial that cannot be made, or that could tell nothing, in one line."""


class Session:
    """A subject in one process: its first graph, and what is known of it."""

    def __init__(self, subject: Subject, task: GraphTask) -> None:
        self.subject, self.task = subject, task
        self.first, self.other = subject.draws
        self.nodes: dict[str, int] | None = None
        self.unread: str | None = None
        self.dot: str | None = None
        self.answers: dict[str, list[str]] = {}
        self._rig: Rig | None = None

    @property
    def rig(self) -> Rig:
        """The graph of one call that the first trial captured."""
        if self._rig is None:
            raise NotTriedError("nothing was captured")
        return self._rig

    def capture(self) -> str:
        """A graph of one call, and a look at its nodes."""
        self._rig = Rig(self.subject, [self.first])
        try:
            self.nodes = self._rig.graph.count_nodes()
            if self.task.dot is not None:
                self._rig.graph.draw(Path(self.task.dot))
                self.dot = self.task.dot
        except UnreadError as error:
            self.unread = str(error)
        return "one call" + (f", {self._tell_nodes()}" if self.nodes else "")

    def _tell_nodes(self) -> str:
        return ", ".join(f"{count} {kind}" for kind, count in (self.nodes or {}).items())

    def replay_unchanged(self) -> str:
        """The inputs of the capture, twice: the second replay starts from what the first left."""
        for _ in range(2):
            self.rig.replay(self.first)
            (outputs,) = self.rig.check(self.first)
        self._note(self.first, outputs)
        return "2 replays"

    def replay_other_inputs(self) -> str:
        """Other inputs at the same addresses, and the first ones again."""
        self._need_telling(self.other)
        for draw in (self.other, self.first, self.other):
            self.rig.replay(draw)
            (outputs,) = self.rig.check(draw)
        self._note(self.other, outputs)
        return "3 replays, inputs copied into the captured tensors"

    def replay_other_counts(self) -> str:
        """Other counts in the captured tensors: what was read at the capture is wrong then."""
        draws = [
            draw
            for draw in list_changed_counts(self.subject.spec, self.first)
            if self.subject.tells(draw, self.first)
        ]
        if not draws:
            raise NotTriedError(self._tell_no_counts())
        for draw in draws:
            for each in (draw, self.first):
                self.rig.replay(each)
                self.rig.check(each)
        return "; ".join(draw.label for draw in draws)

    def _tell_no_counts(self) -> str:
        names = list_settings(self.subject.spec)
        if not names:
            return "the op takes no count as a tensor"
        found = [f"{name}={self.first.inputs[name]}" for name in names
                 if not isinstance(self.first.inputs[name], np.ndarray)]  # fmt: skip
        if found:
            return f"this case has no count in a tensor: {', '.join(found)}"
        return f"no other {', '.join(names)} would change the answer"

    def replay_often(self) -> str:
        """Back-to-back replays, on inputs and answers that change at every look."""
        # What a call may write over has to be there again for the next one.
        alone = bool(self.subject.spec.mutates)
        burst = 1 if alone else max(1, self.task.replays // LOOKS)
        rounds = math.ceil(self.task.replays / burst)
        look_every = max(1, rounds // LOOKS)
        for number in range(rounds):
            draw = (self.first, self.other)[number // look_every % 2]
            self.rig.replay(draw, times=burst)
            if number % look_every == look_every - 1:
                self.rig.check(draw)
        return f"{rounds * burst} replays, {rounds // look_every} answers looked at"

    def replay_under_pressure(self) -> str:
        """Free memory is overwritten and given back ahead of replays, behind a larger call too."""
        between = ""
        for number in range(PRESSED):
            if number == PRESSED // 2:
                between = self._call_larger()
            draw = (self.first, self.other)[number % 2]
            self.rig.replay(draw, before=self.subject.machine.press)
            self.rig.check(draw)
        return f"{PRESSED} replays behind free memory overwritten, {between} between them"

    def _call_larger(self) -> str:
        """Let the implementation's own memory grow; words on what became of it."""
        subject = self.subject
        larger = draw_larger(subject.spec, subject.case)
        if larger is None or subject.implementation.find_refusal(larger.case, subject.device):
            return "no larger call"
        try:
            subject.make_bench(larger.case).call(larger.inputs, POISON)
        except Exception as error:  # of an eager call, which no graph is to blame for
            return f"a larger eager call that raised {describe_error(error)}"
        return "a larger eager call"

    def capture_aside(self) -> str:
        """Warmed up, captured and replayed while the default stream is not the current one."""
        with self.subject.machine.on_side_stream():
            rig = Rig(self.subject, [self.first])
            for draw in (self.other, self.first):
                rig.replay(draw)
                rig.check(draw)
        return "captured and replayed while a side stream was current"

    def capture_many(self) -> str:
        """As many calls in one graph as are 200 nodes, on two sets of inputs in turn."""
        a_call = sum(self.nodes.values()) if self.nodes else 1
        pairs = math.ceil(LARGE_NODES / a_call / 2)
        calls = 2 * pairs
        # What a call may write over has to be there for the next one: each has inputs of its own.
        repeated = pairs if self.subject.spec.mutates else 1
        if repeated * self.subject.footprint > LARGEST_CALL:
            raise NotTriedError(f"{calls} calls with inputs of their own are too much memory")
        rig = Rig(self.subject, [self.first, self.other] * repeated, calls)
        for draws in ([self.first, self.other] * repeated, [self.other, self.first] * repeated):
            rig.replay(*draws)
            rig.check(*draws)
        try:
            count = sum(rig.graph.count_nodes().values())
        except UnreadError:
            return f"{calls} calls, at least a node each"
        if count < LARGE_NODES:
            raise NotTriedError(f"{calls} calls are {count} nodes only")
        return f"{calls} calls, {count} nodes"

    def capture_beside(self) -> str:
        """Two graphs in one pool, replayed in both orders.

        The later one may lie where the earlier one has what it needs no more, so that its answer is
        read before the earlier one is replayed; torch promises nothing else.
        """
        first = Rig(self.subject, [self.first])
        later = Rig(self.subject, [self.other], beside=first)
        for one, two in ((self.first, self.other), (self.other, self.first)):
            first.replay(one)
            later.replay(two)
            first.check(one)
            later.check(two)
            later.replay(one)
            later.check(one)
            first.replay(two)
            first.check(two)
        return "2 graphs, both orders, twice"

    def _need_telling(self, draw: Draw) -> None:
        if not self.subject.tells(draw, self.first):
            raise NotTriedError(f"the answer of the capture is right for {draw.label} too")

    def _note(self, draw: Draw, outputs: dict[str, np.ndarray]) -> None:
        """Keep the digest of an answer, for other processes to compare theirs with."""
        for name, values in self.subject.judge.reduce(draw.inputs, outputs).items():
            self.answers.setdefault(name, []).append(digest({name: values}))


TRIALS: Mapping[str, Callable[[Session], str]] = {
    record.CAPTURE: Session.capture,
    record.UNCHANGED: Session.replay_unchanged,
    record.INPUTS: Session.replay_other_inputs,
    record.COUNTS: Session.replay_other_counts,
    record.MANY: Session.replay_often,
    record.PRESSURE: Session.replay_under_pressure,
    record.SIDE: Session.capture_aside,
    record.LARGE: Session.capture_many,
    record.POOL: Session.capture_beside,
}
