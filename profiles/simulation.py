"""What the simulator saw, as checks, findings and counts of a result."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.simulator import FaultRecord, Simulated, add_counts
from rocmoe.references.judging.verdict import FINDINGS_KEPT, Check, Finding, Judgement, Verdict

NOTHING_RAN = "not checked: no kernel was launched"

#: The size of a case that its counts are divided by, for a count a token or a row.
UNITS = ("T", "B")


def judge_faults(launches: Sequence[Simulated], checks: Sequence[str]) -> Verdict:
    """A check a sanitizer that watched: how many kinds of fault it found, notes in its detail."""
    judgement = Judgement()
    if not launches:
        judgement.checks.append(Check("sanitizers", None, 0.0, 0.0, NOTHING_RAN))
        return judgement.verdict()
    found: dict[str, list[FaultRecord]] = defaultdict(list)
    for fault in (fault for launch in launches for fault in launch.faults):
        found[fault.check].append(fault)
    for check in dict.fromkeys((*checks, *found)):
        faults = [fault for fault in found[check] if not fault.is_note]
        notes = [fault for fault in found[check] if fault.is_note]
        detail = "; ".join(f"note: {_tell(note)}" for note in notes[:FINDINGS_KEPT])
        judgement.checks.append(Check(check, not faults, float(len(faults)), 0.0, detail))
        judgement.findings += [_record(fault) for fault in faults[:FINDINGS_KEPT]]
    return judgement.verdict()


def _record(fault: FaultRecord) -> Finding:
    several = f" ({fault.count} times)" if fault.count > 1 else ""
    return Finding(
        check=fault.check,
        output=fault.kernel,
        index=(),
        found=fault.message + several,
        wanted="",
        where=fault.where,
        place=fault.place,
    )


def _tell(fault: FaultRecord) -> str:
    return f"{fault.message} at {fault.where} ({fault.place})"


def count_launches(case: Case, launches: Iterable[Simulated]) -> dict[str, float] | None:
    """The counts of one call, and each for a token, or row; None where nothing was launched."""
    counts: dict[str, float] = {**add_counts(launches)}
    if not counts:
        return None
    units = next((case.sizes[name] for name in UNITS if case.sizes.get(name)), 1)
    return {**counts, **{f"{name}_per_token": value / units for name, value in counts.items()}}
