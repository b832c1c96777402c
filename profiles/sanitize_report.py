"""A sanitizer run in words: a table by order of waves, and each finding once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from rocmoe.profiles.artifact import Artifact, Result
from rocmoe.profiles.outcome import BAD, RAN, Exit, count_statuses, judge_run, list_gaps
from rocmoe.profiles.report import tell_finding
from rocmoe.profiles.sanitize import split_order
from rocmoe.references.judging.verdict import Finding

COLUMNS = ("op", "kernel", "device", "order", "runs", "pass", "not pass", "verdict")

#: Results whose judge's findings are told: they mostly follow from what a sanitizer found.
TOLD = 3

#: What a finding cannot be about, whatever was run.
NOT_MODELLED = (
    "what the simulator does not model: timing, wave32, expcnt, the scalar cache, the memory order "
    "of global atomics (docs/sanitize.md has the list)"
)


@dataclass
class Told:
    """What a simulator saw at one instruction, with all runs that saw it."""

    finding: Finding
    cases: dict[str, None] = field(default_factory=dict)
    orders: dict[str, None] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The check and what happened; the instruction and its source; where and when first."""
        finding, cases = self.finding, list(self.cases)
        more = f" and {len(cases) - 1} more" if len(cases) > 1 else ""
        case = f"; {cases[0]}{more}" if cases != [finding.output] else ""
        return [
            f"{finding.check}: {finding.found}",
            f"    {finding.where}",
            f"    {finding.place} of {finding.output}; order {', '.join(self.orders)}{case}",
        ]


def judge_sanitized(artifact: Artifact) -> Exit:
    """As `judge_run`, but inconclusive where no kernel was launched: nothing was watched."""
    outcome = judge_run(artifact)
    return outcome if outcome is not Exit.PASSED or _list_watched(artifact) else Exit.INCONCLUSIVE


def _list_watched(artifact: Artifact) -> list[Result]:
    return [result for result in artifact.results if result.counts]


def summarize_orders(artifact: Artifact) -> list[list[str]]:
    """A row of `COLUMNS` an order."""
    rows: dict[str, list[Result]] = {}
    for result in artifact.results:
        rows.setdefault(result.selector, []).append(result)
    return [_summarize(selector, results) for selector, results in rows.items()]


def _summarize(selector: str, results: Sequence[Result]) -> list[str]:
    kernel, order = split_order(selector)
    counts = count_statuses(results)
    others = ", ".join(f"{n} {status}" for status, n in counts.items() if status != "pass")
    bad = any(counts[status] for status in BAD)
    verdict = "FAIL" if bad else "PASS" if counts["pass"] else "not run"
    case = results[0].case
    numbers = [str(len(results)), str(counts["pass"]), others]
    return [case.op, kernel, results[0].device, order, *numbers, verdict]


def tell_run(artifact: Artifact, path: Path, fence: Sequence[str] = ()) -> list[str]:
    """Lines for all but the table; fence: a line before the findings, and after them."""
    lines: list[str] = []
    if findings := tell_findings(artifact):
        lines += ["", *fence, *findings, *fence]
    if notes := tell_notes(artifact):
        lines += ["", *notes]
    lines += ["", "Not tested:", *(f"- {gap}" for gap in list_untested(artifact))]
    outcome = judge_sanitized(artifact)
    return [*lines, "", f"{outcome.name.lower()} (exit {int(outcome)}); artifact: {path}"]


def tell_findings(artifact: Artifact) -> list[str]:
    """Every finding of a sanitizer once, then what else went wrong, by result."""
    lines: list[str] = []
    for told in gather_findings(artifact.results):
        lines += told.lines()
    failures = [result for result in artifact.results if result.status in BAD]
    others = [(result, _list_others(result)) for result in failures]
    others = [(result, said) for result, said in others if said]
    for result, said in others[:TOLD]:
        lines.append(f"{result.status.upper()} {result.case.id}@{result.selector}")
        lines += [f"    {line}" for line in said]
    if len(others) > TOLD:
        lines.append(f"... and {len(others) - TOLD} more in the artifact")
    return lines


def gather_findings(results: Sequence[Result]) -> list[Told]:
    gathered: dict[tuple[str, str, str], Told] = {}
    for result in results:
        order = split_order(result.selector)[1]
        for finding in result.findings:
            if finding.where:
                key = finding.check, finding.output, finding.where
                told = gathered.setdefault(key, Told(finding))
                told.cases[result.case.id] = told.orders[order] = None
    return list(gathered.values())


def _list_others(result: Result) -> list[str]:
    """What a judge found; or the reason of a result that has no findings at all."""
    judged = [tell_finding(finding) for finding in result.findings if not finding.where]
    if not result.findings:
        return [result.reason or result.status]
    return judged[:3]


def tell_notes(artifact: Artifact) -> list[str]:
    """What sanitizers saw that is no fault, each once."""
    details = [check.detail for result in artifact.results for check in result.checks]
    return list(dict.fromkeys(detail for detail in details if detail.startswith("note: ")))


def list_untested(artifact: Artifact) -> list[str]:
    """What a green run did not test, one line each, whatever the order."""
    folded = []
    for result in artifact.results:
        backend, _, variant = split_order(result.selector)[0].partition(":")
        folded.append(
            msgspec.structs.replace(result, backend=backend, variant=variant or "default")
        )
    gaps = list_gaps(msgspec.structs.replace(artifact, results=folded))
    ran = sum(result.status in RAN for result in artifact.results)
    if idle := ran - len(_list_watched(artifact)):
        gaps.append(f"{idle} run(s) launched no kernel or ended early: nothing was watched")
    return [*gaps, NOT_MODELLED]
