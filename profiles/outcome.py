"""What a run amounts to: its exit code, and the counts behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import IntEnum

from rocmoe.profiles.artifact import Artifact, Result

BAD = ("fail", "error", "crash", "timeout")
RAN = ("pass", *BAD)


class Exit(IntEnum):
    """The exit codes of every command."""

    PASSED = 0
    FAILED = 1
    BAD_REQUEST = 2
    REGRESSED = 3
    INCONCLUSIVE = 4
    MACHINE_FAILED = 5
    INTERRUPTED = 130


def judge_run(artifact: Artifact, excesses: Sequence[str] = ()) -> Exit:
    """0 when all that ran passed, something ran, and every backend named ran; 1 or 4 else; 3 where
    only a budget is exceeded."""
    if any(result.status in BAD for result in artifact.results):
        return Exit.FAILED
    if list_idle_backends(artifact) or not any(result.status in RAN for result in artifact.results):
        return Exit.INCONCLUSIVE
    return Exit.REGRESSED if excesses else Exit.PASSED


def list_idle_backends(artifact: Artifact) -> list[str]:
    """The backends that were named and ran nothing."""
    ran = {result.selector for result in artifact.results if result.status in RAN}
    return [selector for selector in artifact.request.backends if selector not in ran]


def count_statuses(results: Sequence[Result]) -> Counter[str]:
    """How many results have each status."""
    return Counter(result.status for result in results)


def list_gaps(artifact: Artifact) -> list[str]:
    """What a green run did not test, one line each."""
    results = artifact.results
    gaps = []
    if not artifact.complete:
        gaps.append("the run was interrupted; the cases after that were not run")
    for result_status in ("refused", "unavailable"):
        reasons = Counter((r.selector, r.reason) for r in results if r.status == result_status)
        gaps += [f"{s}: {n} case(s) {result_status}: {why}" for (s, why), n in reasons.items()]
    if degenerate := sum(r.case.degenerate is not None for r in results):
        gaps.append(f"{degenerate} degenerate result(s): a trivial answer passes them")
    if outside := sum(r.case.out_of_contract is not None for r in results):
        gaps.append(f"{outside} out-of-contract result(s): crash, hang and bounds only")
    unchecked = Counter(
        (r.selector, c.name, c.detail) for r in results for c in r.checks if c.ok is None
    )
    gaps += [f"{s}: {name} {why} ({n} case(s))" for (s, name, why), n in unchecked.items()]
    if idle := _list_idle(artifact):
        device = artifact.request.device or "this machine"
        gaps.append(f"no backend that is installed runs {', '.join(idle)} on {device}")
    devices = {result.device for result in results if result.status in RAN}
    for device in sorted(device for device in devices if device.startswith("sim:")):
        if artifact.request.simulates_briefly:
            gaps.append(
                f"{device} ran the smoke suite alone; the {artifact.request.suite} one by "
                f"--device {device}"
            )
    if devices and not any(device.startswith("gpu") for device in devices):
        gaps.append(f"no GPU: everything ran on {', '.join(sorted(devices))}")
    return gaps


def _list_idle(artifact: Artifact) -> list[str]:
    """The ops of a whole run that have no result, since no backend has them on the device."""
    having = {result.case.op for result in artifact.results}
    return [op for op in artifact.request.ops if op not in having] if artifact.complete else []
