"""A run as tables: what every output format prints."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rocmoe.profiles.artifact import Artifact, Result
from rocmoe.profiles.outcome import BAD, count_statuses
from rocmoe.references.judging.verdict import Finding

COLUMNS = ("op", "backend", "device", "cases", "pass", "not pass", "error / limit", "verdict")
#: Failing results that are told in full; the artifact has all of them.
TOLD = 10


def summarize(artifact: Artifact) -> list[list[str]]:
    """A row of `COLUMNS` an op and backend: counts, and the worst error over its limit."""

    def key(result: Result) -> tuple[str, str, str]:
        return result.case.op, result.selector, result.device

    ordered = sorted(artifact.results, key=key)
    return [_summarize_group(*names, list(group)) for names, group in groupby(ordered, key)]


def _summarize_group(op: str, backend: str, device: str, results: Sequence[Result]) -> list[str]:
    counts = count_statuses(results)
    others = ", ".join(f"{n} {status}" for status, n in counts.items() if status != "pass")
    ratios = [result.error_ratio for result in results if result.error_ratio is not None]
    ratio = f"{max(ratios):.3g}" if ratios else ("exact" if counts["pass"] else "-")
    verdict = _describe(counts)
    return [op, backend, device, str(len(results)), str(counts["pass"]), others, ratio, verdict]


def _describe(counts: dict[str, int]) -> str:
    if any(counts[status] for status in BAD):
        return "FAIL"
    return "PASS" if counts["pass"] else "not run"


def tell_finding(finding: Finding) -> str:
    """The check, the place, what stood there, what was due, and in which call: one line, and
    another for the instruction of what a simulator saw."""
    if finding.where:
        return (
            f"{finding.check}: {finding.found}\n"
            f"        {finding.place} of {finding.output}, at {finding.where} (call {finding.call})"
        )
    place = f"{finding.output}{list(finding.index)}" if finding.index else finding.output
    return (
        f"{finding.check}: {place} is {finding.found}, wanted {finding.wanted}"
        f" (call {finding.call})"
    )


def tell_failures(artifact: Artifact) -> list[str]:
    """Lines that say what went wrong: the result, why, and where."""
    lines: list[str] = []
    failures = [result for result in artifact.results if result.status in BAD]
    for result in failures[:TOLD]:
        lines.append(f"{result.status.upper()} {result.case.id}@{result.selector}")
        lines.append(f"    {result.reason}")
        lines += [f"    {tell_finding(finding)}" for finding in result.findings[:3]]
    if len(failures) > TOLD:
        lines.append(f"... and {len(failures) - TOLD} more in the artifact")
    return lines
