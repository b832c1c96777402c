"""What a form is made of: times by one timer in one cache state, by case and backend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import msgspec

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.artifact import (
    CACHES,
    Artifact,
    Cache,
    CaseRecord,
    Measurement,
    Result,
    Timer,
)
from rocmoe.profiles.bench_report import describe_shape, tell_measurements
from rocmoe.profiles.measuring.statistics import find_median
from rocmoe.profiles.measuring.timers import TIMERS
from rocmoe.profiles.tables.form import Form

#: What stands where there is no figure.
NOT_THERE = "N/A"


@dataclass(frozen=True)
class View:
    """What an artifact has for a form in one cache state.

    timers: those looked at, the one of single times first.  names: of the backends, short, by
    selector in the order of the run.
    """

    artifact: Artifact
    timers: tuple[Timer, ...]
    cache: Cache
    names: Mapping[str, str]
    index: Mapping[tuple[str, str], Result]

    @property
    def results(self) -> list[Result]:
        """Those of the form's ops."""
        return list(self.index.values())

    def find(self, case: CaseRecord, selector: str) -> Result | None:
        """What a backend did on a case, None where it was not run on it."""
        return self.index.get((case.id, selector))

    def find_measurement(
        self, case: CaseRecord, selector: str, timer: Timer | None = None
    ) -> Measurement | None:
        """What was sampled, None where nothing was."""
        result = self.find(case, selector)
        for each in _list_sampled(result) if result else ():
            if (each.timer, each.cache) == (timer or self.timers[0], self.cache):
                return each
        return None

    def find_us(self, case: CaseRecord, selector: str, timer: Timer | None = None) -> float | None:
        """The median that counts: not that of an invalid measurement."""
        taken = self.find_measurement(case, selector, timer)
        return None if taken is None or taken.status == "invalid" else find_median(taken.samples_us)

    def tell_us(
        self,
        case: CaseRecord,
        selector: str,
        timer: Timer | None = None,
        form: Callable[[float], str] = "{:.2f}".format,
    ) -> str:
        """The median; in brackets where it does not count."""
        taken = self.find_measurement(case, selector, timer)
        return NOT_THERE if taken is None else bracket(taken, find_median(taken.samples_us), form)

    def tell_ratio(
        self, case: CaseRecord, base: str, selector: str, timer: Timer | None = None
    ) -> str:
        """How many times as fast as a base a backend is, to two digits behind the point."""
        ratio = self.find_ratio(case, base, selector, timer)
        return NOT_THERE if ratio is None else f"{ratio:.2f}"

    def find_ratio(
        self, case: CaseRecord, base: str, selector: str, timer: Timer | None = None
    ) -> float | None:
        """The base's median over that of a backend, None where either does not count."""
        of, over = self.find_us(case, base, timer), self.find_us(case, selector, timer)
        return of / over if of is not None and over else None

    def describe_rest(self, case: CaseRecord) -> list[str]:
        """The params, pattern and layout that differ among the cases of the op, as words."""
        return describe_shape(self.artifact, case).split()[len(case.sizes) + 1 :]

    def list_notes(self) -> list[str]:
        """How the times were taken, and what is wrong with some."""
        devices = ", ".join(dict.fromkeys(self._name_device(each) for each in self.results))
        lines = [f"medians by the {_join(self.timers)}, {self.cache} cache, on {devices}"]
        lines += [f"{name} is {full}" for full, name in self.names.items() if name != full]
        results = [
            msgspec.structs.replace(each, measurements=self._list_seen(each))
            for each in self.results
        ]
        return lines + tell_measurements(msgspec.structs.replace(self.artifact, results=results))

    def _list_seen(self, result: Result) -> list[Measurement]:
        taken = result.measurements or []
        return [each for each in taken if each.timer in self.timers and each.cache == self.cache]

    def _name_device(self, result: Result) -> str:
        kind, _, index = result.device.partition(":")
        if kind != "gpu":
            return result.device
        gpus = self.artifact.environment.gpus
        found = [gpu.name for gpu in gpus if gpu.index == int(index or 0)]
        return f"{result.device} ({found[0]})" if found else result.device


def make_views(artifact: Artifact, form: Form, timers: Sequence[Timer] | None = None) -> list[View]:
    """A view a cache state, warm first; of the first timer of `TIMERS` that the artifact has, or of
    several.

    Raises `RocmoeError` where no op of the form was timed.
    """
    results = [each for each in artifact.results if each.case.op in form.ops]
    sampled = [each for result in results for each in _list_sampled(result)]
    if timers is None:
        timers = [timer for timer in TIMERS if any(each.timer == timer for each in sampled)][:1]
    caches = {each.cache for each in sampled if each.timer in timers}
    if not caches:
        raise lack(form, f"times of {' or '.join(form.ops)}", _tell_ops(artifact))
    names = name_backends(each.selector for each in results)
    index = {(each.case.id, each.selector): each for each in results}
    return [
        View(artifact, tuple(timers), cache, names, index) for cache in CACHES if cache in caches
    ]


def lack(form: Form, wanted: str, found: str) -> RocmoeError:
    """The error for an artifact that does not have what a form shows."""
    return RocmoeError(f"table {form.name} needs {wanted}, found {found}; try: {form.command}")


def bracket(
    taken: Measurement, us: float | None, form: Callable[[float], str] = "{:.2f}".format
) -> str:
    """A time of a measurement in microseconds, in brackets where it does not count."""
    if us is None:
        return NOT_THERE
    return f"({form(us)})" if taken.status == "invalid" else form(us)


def group_cases(view: View, apart: Sequence[str]) -> list[list[CaseRecord]]:
    """The cases that differ in nothing but the sizes, or dtype, that are named: a table each.

    They are in the order of those sizes; without those that were timed in another cache state only.
    """
    groups: dict[object, dict[str, CaseRecord]] = {}
    for case in _list_cases(view):
        sizes = tuple((name, size) for name, size in case.sizes.items() if name not in apart)
        dtype = "" if "dtype" in apart else case.dtype
        rest = (*case.params.items(), case.pattern, case.layout, case.seed)
        groups.setdefault((case.op, sizes, dtype, rest), {})[case.id] = case
    axes = [name for name in apart if name != "dtype"]
    return [
        sorted(group.values(), key=lambda case: [case.sizes[name] for name in axes])
        for group in groups.values()
    ]


def _list_cases(view: View) -> list[CaseRecord]:
    caches: dict[str, set[Cache]] = {}
    for result in view.results:
        taken = {each.cache for each in result.measurements or ()}
        caches.setdefault(result.case.id, set()).update(taken)
    cases = [result.case for result in view.results]
    return [case for case in cases if view.cache in (caches[case.id] or {view.cache})]


def list_selectors(view: View, cases: Sequence[CaseRecord]) -> list[str]:
    """The backends that were run on any of these cases, in the order of the run."""
    return [
        selector
        for selector in view.names
        if any(view.find(case, selector) is not None for case in cases)
    ]


def choose_subject(selectors: Sequence[str]) -> str:
    """The backend whose speed-ups are asked for: the last function of the user's, else this
    project's kernels, else the last backend.  There must be one."""
    own = [selector for selector in selectors if selector.startswith("user:")]
    if own:
        return own[-1]
    return "triton" if "triton" in selectors else selectors[-1]


def name_backends(selectors: Iterable[str]) -> dict[str, str]:
    """Short names by selector, each once: that of a file for a function in it."""
    whole = list(dict.fromkeys(selectors))
    short = {selector: _shorten(selector) for selector in whole}
    counts = Counter(short.values())
    return {each: name if counts[name] == 1 else each for each, name in short.items()}


def _shorten(selector: str) -> str:
    """`user:FOLDER/FILE.py:FUNC` is `FILE`."""
    _, _, variant = selector.partition(":")
    path, _, _ = variant.rpartition(":")
    return PurePath(path).stem or selector


def _list_sampled(result: Result) -> list[Measurement]:
    """The measurements of whole calls that have samples."""
    return [
        each
        for each in result.measurements or ()
        if not each.stage and any(len(group) for group in each.samples_us)
    ]


def _tell_ops(artifact: Artifact) -> str:
    timed = [each.case.op for each in artifact.results if _list_sampled(each)]
    return ", ".join(dict.fromkeys(timed)) or "no times at all"


def _join(timers: Sequence[Timer]) -> str:
    return f"{', '.join(timers)} timer{'s' if len(timers) > 1 else ''}"
