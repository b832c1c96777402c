"""Judging many rows a block at a time, so that what the judge derives stays small, and several
blocks at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from .verdict import FINDINGS_KEPT, Finding, Verdict, merge

#: Elements of a block: 2 MB in float64, so that a dozen arrays of that size stay in cache.
BLOCK_ELEMENTS = 2**18

_threads = 1


def use_threads(count: int) -> None:
    """Judge up to `count` blocks at a time from now on; NumPy lets threads run side by side."""
    global _threads
    _threads = count


def judge_in_blocks(judge_rows: Callable[[slice], Verdict], rows: int, width: int) -> Verdict:
    """One verdict on `rows` rows of `width` elements, from verdicts on slices of them.

    The rows must not depend on each other.  Exact checks count all wrong elements, bounded ones
    observe the worst; findings name rows of the whole, those of the worst block first.
    """
    step = max(BLOCK_ELEMENTS // max(width, 1), 1)
    starts = range(0, max(rows, 1), step)
    verdicts = _judge_all(lambda at: _shift(judge_rows(slice(at, at + step)), at), starts)
    verdicts.sort(key=lambda verdict: -(verdict.error_ratio or 0.0))
    merged = merge(*verdicts)
    wrong: Counter[str] = Counter()
    for check in (check for verdict in verdicts for check in verdict.checks):
        wrong[check.name] += int(check.observed) if check.limit == 0.0 else 0
    checks = tuple(
        replace(check, observed=float(wrong[check.name])) if check.limit == 0.0 else check
        for check in merged.checks
    )
    return replace(merged, checks=checks, findings=tuple(_keep_some(merged.findings)))


def _judge_all(judge_block: Callable[[int], Verdict], starts: range) -> list[Verdict]:
    workers = min(_threads, len(starts))
    if workers == 1:  # a thread costs more than a small case
        return [judge_block(start) for start in starts]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(judge_block, starts))


def _shift(verdict: Verdict, rows: int) -> Verdict:
    findings = (
        replace(finding, index=(finding.index[0] + rows, *finding.index[1:]))
        for finding in verdict.findings
    )
    return replace(verdict, findings=tuple(findings))


def _keep_some(findings: Iterable[Finding]) -> Iterator[Finding]:
    kept: Counter[tuple[str, str]] = Counter()
    for finding in findings:
        kept[finding.check, finding.output] += 1
        if kept[finding.check, finding.output] <= FINDINGS_KEPT:
            yield finding
