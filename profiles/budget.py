"""Budgets: limits of what a kernel may cost, that a run is held against.

A budget is a TOML file of two kinds of tables, each entry a key and limits:

    [[isa]]                       # what `rocmoe isa` finds in the code
    op = "topk_softmax"
    kernel = "select_by_lists"
    arch = "gfx942"
    triton = "3.9"
    vgpr = 64
    spills = 0
    occupancy = 8                 # a lower limit; all others are upper ones

    [[counts]]                    # what a simulated run counts
    op = "topk_softmax"
    case = "topk_softmax:T=64,E=256,k=8:bf16:renormalize=true:normal:contiguous"
    arch = "gfx942"
    instructions_per_token = 40

A key that is left out, or is `*`, means any; `triton = "3.9"` means 3.9.0 too.  Every entry that
fits applies.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.compilation import WAVE_SIZES
from rocmoe.ops.core.errors import RocmoeError, nearest, unknown
from rocmoe.ops.core.spec import list_declared, load_op
from rocmoe.ops.gcn.counting.classes import CLASSES
from rocmoe.ops.gcn.static_counts import COUNTS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ANY = "*"
#: What entries are keyed by, the widest first.
KEYS: Mapping[str, tuple[str, ...]] = {
    "isa": ("op", "case", "arch", "triton", "kernel"),
    "counts": ("op", "arch", "triton", "case"),
}
#: What the last key of an entry is, that a run must have once the others fit.
_ENTITY = {"isa": "kernel", "counts": "case"}
REGISTERS = ("vgpr", "agpr", "sgpr", "spills", "vgpr_spills", "sgpr_spills")
ISA_LIMITS = (*REGISTERS, "scratch_bytes", "lds_bytes", "code_bytes", "occupancy", *COUNTS)
#: Limits that a value must reach rather than not exceed.
LEAST = ("occupancy",)

_MEMORY = tuple(
    f"{scalar}{kind}_{what}"
    for scalar in ("", "scalar_")
    for kind in ("load", "store", "atomic")
    for what in ("bytes", "segments_64", "segments_128")
)
_LDS = ("lds_bytes", "lds_cycles", "lds_conflict_cycles")
_TOTALS = ("waves", "instructions", *(f"instructions_{name}" for name in CLASSES), *_MEMORY, *_LDS)
COUNT_LIMITS = (*_TOTALS, *(f"{name}_per_token" for name in _TOTALS))

Subject = Mapping[str, str]


@dataclass(frozen=True)
class Entry:
    """One table of a budget. place: what messages call it. key: without what is left out."""

    kind: str
    place: str
    key: Mapping[str, str]
    limits: Mapping[str, float]

    def fits(self, subject: Subject) -> bool:
        """Whether it applies to something with these keys."""
        return all(self._fits_key(name, subject) for name in self.key)

    def find_misfit(self, subjects: Sequence[Subject]) -> str | None:
        """The first key that none of the subjects that fit so far has; None where one fits."""
        for name in KEYS[self.kind]:
            subjects = [subject for subject in subjects if self._fits_key(name, subject)]
            if not subjects:
                return name
        return None

    def _fits_key(self, name: str, subject: Subject) -> bool:
        wanted = self.key.get(name, ANY)
        if wanted == ANY:
            return True
        found = subject.get(name, "")
        if name == "triton":
            parts = re.split(r"[.+]", wanted)
            return re.split(r"[.+]", found)[: len(parts)] == parts
        return found == wanted

    def tell_excesses(self, what: str, values: Mapping[str, float]) -> list[str]:
        """A line for each limit that a value is beyond; a value that is missing is zero."""
        lines = []
        for name, allowed in self.limits.items():
            value = values.get(name, 0)
            if value < allowed if name in LEAST else value > allowed:
                words = "at least" if name in LEAST else "at most"
                keys = ", ".join(f"{key} = {word}" for key, word in self.key.items())
                lines.append(
                    f"{what}: {name} is {_format(value)}, allowed {words} {_format(allowed)} "
                    f"({self.place}{': ' if keys else ''}{keys})"
                )
        return lines


def _format(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.6g}"


@dataclass(frozen=True)
class Budget:
    """A budget file that was read."""

    file: str
    isa: tuple[Entry, ...]
    counts: tuple[Entry, ...]


def load_budget(path: Path) -> Budget:
    """Read and check a budget.

    Raises RocmoeError for a file that cannot be read, and for a table, key, limit or value that
    there is none of, naming the place, what was found, what is wanted, and the nearest name.
    """
    file = str(path)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RocmoeError(f"--budget {file} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        words = " ".join(str(error).split())
        raise RocmoeError(f"--budget {file}: found no TOML: {words}") from None
    for table in document:
        if table not in KEYS:
            raise RocmoeError(f"{file}: {unknown('table', table, KEYS)}")
    isa, counts = (_read_entries(file, kind, document.get(kind, [])) for kind in KEYS)
    if not isa and not counts:
        raise RocmoeError(f"{file}: found no budget; wanted [[isa]] or [[counts]]")
    return Budget(file, isa, counts)


def _read_entries(file: str, kind: str, tables: Any) -> tuple[Entry, ...]:
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise RocmoeError(f"{file}: {kind} is no list of tables; wanted [[{kind}]]")
    return tuple(
        _read_entry(kind, f"{file}: [[{kind}]] {number}", table)
        for number, table in enumerate(tables, 1)
    )


def _read_entry(kind: str, place: str, table: Mapping[str, Any]) -> Entry:
    known = ISA_LIMITS if kind == "isa" else COUNT_LIMITS
    key: dict[str, str] = {}
    limits: dict[str, float] = {}
    for name, value in table.items():
        if name in KEYS[kind]:
            if not isinstance(value, str) or not value:
                raise RocmoeError(f"{place}: {name} is {value!r}; wanted a name, or {ANY!r}")
            key[name] = value
        elif name in known:
            limits[name] = _check_limit(place, name, value)
        else:
            hint = nearest(name, (*KEYS[kind], *known)) or f"; known: {', '.join(KEYS[kind])}, ..."
            raise RocmoeError(f"{place}: unknown key or limit {name!r}{hint}")
    if not limits:
        raise RocmoeError(f"{place}: found no limit; wanted one such as {known[0]} = 64")
    try:
        return Entry(kind, place, _check_key(key), limits)
    except RocmoeError as error:
        raise RocmoeError(f"{place}: {error}") from None


def _check_limit(place: str, name: str, value: Any) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:
        raise RocmoeError(f"{place}: {name} is {value!r}; wanted a number from 0 up")
    return float(value)


def _check_key(key: Mapping[str, str]) -> Mapping[str, str]:
    """The key, with the op of its case. Raises `RocmoeError` for names that nothing can have."""
    op, arch, case = (key.get(name, ANY) for name in ("op", "arch", "case"))
    if op != ANY and op not in list_declared():
        raise unknown("op", op, list_declared())
    if arch != ANY and arch not in WAVE_SIZES:
        raise unknown("architecture", arch, WAVE_SIZES)
    if case == ANY:
        return key
    parsed = parse_case(case)
    load_op(parsed.op).check_case(parsed)
    if op not in (ANY, parsed.op):
        raise RocmoeError(f"case is one of {parsed.op}, but op is {op!r}")
    return {**key, "op": parsed.op}


def check_isa(
    budget: Budget, kernels: Sequence[tuple[Subject, Mapping[str, float | None]]]
) -> list[str]:
    """A line for each limit that a kernel is beyond.

    kernels: keys (op, case, kernel, arch, triton; empty where there is none) and values by the
    names in `ISA_LIMITS`, None where one is not known.  Raises RocmoeError as `check_keys`, and
    where a limit is on a value that is not known.
    """
    check_keys(budget.file, budget.isa, [subject for subject, _ in kernels])
    lines = []
    for subject, values in kernels:
        what = f"{subject['kernel']} on {subject['arch']}"
        for entry in (entry for entry in budget.isa if entry.fits(subject)):
            if missing := [name for name in entry.limits if values[name] is None]:
                raise RocmoeError(f"{entry.place}: {missing[0]} of {what} is not known")
            known = {name: value for name, value in values.items() if value is not None}
            lines += entry.tell_excesses(what, known)
    return lines


def check_counts(
    budget: Budget,
    op: str,
    case_id: str,
    arch: str,
    triton: str,
    counts: Mapping[str, float],
) -> list[str]:
    """A line for each limit that the counts of a case are beyond.

    counts: as a result keeps them; one that is missing is zero.  Whether entries fit anything is
    for `check_count_keys` to say, before the run.
    """
    subject = {"op": op, "case": case_id, "arch": arch, "triton": triton}
    return [
        line
        for entry in budget.counts
        if entry.fits(subject)
        for line in entry.tell_excesses(f"{case_id} on {arch}", counts)
    ]


def check_count_keys(budget: Budget, runs: Iterable[tuple[str, str, str, str]]) -> None:
    """Raise `RocmoeError` as `check_keys`; runs: op, case id, architecture and Triton version."""
    subjects = [dict(zip(("op", "case", "arch", "triton"), run, strict=True)) for run in runs]
    check_keys(budget.file, budget.counts, subjects)


def check_keys(file: str, entries: Sequence[Entry], subjects: Sequence[Subject]) -> None:
    """Raise `RocmoeError` for an entry that is meant for this run and fits nothing in it.

    An entry of another op, case of an op, architecture or version of Triton is not meant for it;
    one whose kernel (in [[isa]]) or case (in [[counts]]) is not among those there are is wrong, and
    so is a file with no entry for this run, which would pass whatever the kernels cost.
    """
    misfits = {entry.place: entry.find_misfit(subjects) for entry in entries}
    for entry in entries:
        name = _ENTITY[entry.kind]
        if misfits[entry.place] == name:
            found = [subject[name] for subject in subjects]
            raise RocmoeError(f"{entry.place}: {unknown(name, entry.key[name], set(found))}")
    if all(misfits.values()):
        runs = sorted({f"{each['op'] or 'a file'} on {each['arch']}" for each in subjects})
        raise RocmoeError(f"{file}: found no entry for {', '.join(runs)}; wanted at least one")
