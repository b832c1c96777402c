"""Accuracy by lm-evaluation-harness: the table that it prints, and its results in JSON.

A difference is held against the standard errors that both runs state: it says nothing where it is
within twice their root sum of squares.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.documents import decode_documents
from rocmoe.profiles.tables.table import Table

COLUMNS = ("task", "filter", "n-shot", "metric", "before", "after", "difference", "verdict")
#: Standard errors of a difference within which it is taken for chance: 95 % of such differences.
MARGIN = 1.96
#: Metrics of which less is better, as lm-eval marks them with an arrow downwards.
_DOWN, _UP = "↓", "↑"
_NUMBER = r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
#: A row as printed, in Markdown or copied from a page: the first cells may be missing, being those
#: of the row above.
_ROW = re.compile(
    rf"(?P<head>.*?)(?P<shot>\d+)\s+(?P<metric>[^\s↑↓]+)\s*(?P<arrow>[↑↓]?)\s*(?P<value>{_NUMBER})"
    rf"\s*±\s*(?P<error>{_NUMBER}|N/A)"
)


@dataclass(frozen=True)
class Score:
    """A metric of a task.  error: its standard error, None where none is stated.

    rises: whether more is better; None where nobody says.
    """

    task: str
    filter: str
    shot: str
    metric: str
    value: float
    error: float | None
    rises: bool | None = None

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What two scores share that may be compared."""
        return self.task, self.filter, self.shot, self.metric


def read_scores(path: Path) -> list[Score]:
    """The scores in a file: results as JSON, or printed tables among whatever else.

    Raises `RocmoeError` for a file that cannot be read or has none.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise RocmoeError(f"{path} cannot be read: {error.strerror}") from None
    scores = parse_results(text) or parse_table(text)
    if not scores:
        raise RocmoeError(
            f"{path} has no accuracy: wanted the table that lm_eval prints, or its results in JSON"
        )
    return scores


def parse_results(text: str) -> list[Score]:
    """The scores of a document with `results`, by task and `METRIC,FILTER`."""
    try:
        documents: Iterator[Any] = iter([json.loads(text)])
    except ValueError:
        documents = decode_documents(text)
    for document in documents:
        if isinstance(document, dict) and isinstance(document.get("results"), dict):
            return [
                score
                for task, values in document["results"].items()
                if isinstance(values, dict)
                for score in _list_scores(document, task, values)
            ]
    return []


def _list_scores(
    document: Mapping[str, Any], task: str, values: Mapping[str, Any]
) -> Iterator[Score]:
    shot = str(_find(document, "n-shot").get(task, "-"))
    better = _find(document, "higher_is_better").get(task)
    for key in values:
        metric, _, kind = key.partition(",")
        value = _find_number(values, key)
        if not kind or metric.endswith("_stderr") or value is None:
            continue
        error = _find_number(values, f"{metric}_stderr,{kind}")
        rises = better.get(metric) if isinstance(better, dict) else None
        yield Score(
            task, kind, shot, metric, value, error, rises if isinstance(rises, bool) else None
        )


def _find(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _find_number(values: Mapping[str, Any], name: str) -> float | None:
    """What is no number is None: lm-eval writes `N/A` where it has no error."""
    value = values.get(name)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return float(value) if math.isfinite(value) else None


def parse_table(text: str) -> list[Score]:
    """The scores of printed tables; a row without a task is of the task above."""
    scores: list[Score] = []
    task = ""
    for line in text.splitlines():
        # A cell that is empty leaves two bars in a row.
        found = _ROW.fullmatch(" ".join(line.replace("|", " ").split()))
        if found is None:
            continue
        head = found["head"].split()
        if len(head) > 1:
            task = " ".join(head[:-2]) if len(head) > 2 else head[0]
        error = None if found["error"] == "N/A" else float(found["error"])
        rises = {_UP: True, _DOWN: False}.get(found["arrow"])
        kind = head[-1] if head else "-"
        scores.append(
            Score(task or "-", kind, found["shot"], found["metric"], float(found["value"]), error,
                  rises)
        )  # fmt: skip
    return scores


def tabulate_scores(before: Sequence[Score], after: Sequence[Score]) -> Table:
    """A row a score of either, with the difference and whether it is within the errors."""
    old, new = ({score.key: score for score in scores} for scores in (before, after))
    rows = [
        [*key, _tell(old.get(key)), _tell(new.get(key)), *judge(old.get(key), new.get(key))]
        for key in dict.fromkeys([*old, *new])
    ]
    note = (
        f"within: no further apart than {MARGIN:g} times the root of the summed squares of both "
        "stated standard errors"
    )
    return Table("", COLUMNS, rows, notes=(note,))


def judge(before: Score | None, after: Score | None) -> tuple[str, str]:
    """The difference, and what the stated errors say of it."""
    if before is None or after is None:
        return "-", "only after" if before is None else "only before"
    difference = after.value - before.value
    told = f"{difference:+.4f}"
    if before.error is None or after.error is None:
        return told, "no standard error"
    limit = MARGIN * math.hypot(before.error, after.error)
    told += f" ± {limit:.4f}"
    if abs(difference) <= limit:
        return told, "within the errors"
    rises = after.rises if after.rises is not None else before.rises
    if rises is None:
        return told, "beyond the errors"
    return told, "better" if (difference > 0.0) == rises else "worse"


def _tell(score: Score | None) -> str:
    if score is None:
        return "-"
    return f"{score.value:.4f}" + (f" ± {score.error:.4f}" if score.error is not None else "")
