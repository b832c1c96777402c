"""The times of a run in the forms that people post them in, op by op."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.artifact import Artifact
from rocmoe.profiles.tables.model import list_model_tables
from rocmoe.profiles.tables.registry import FORMS, render_form
from rocmoe.profiles.tables.table import Table
from rocmoe.profiles.tables.view import NOT_THERE

#: The form that each op was posted in; the next is tried where a run has not what it shows.
POSTED: Mapping[str, Sequence[str]] = {
    "topk_softmax": ("sglang",),
    "topk_sigmoid": ("aiter", "sglang"),
    "grouped_topk": ("sglang",),
    "topk_softmax_sorting": ("fused",),
    **dict.fromkeys(FORMS["sampling"].ops, ("sampling",)),
}


def list_posted_tables(artifact: Artifact) -> dict[str, list[Table]]:
    """Tables by op of what was timed: as the op is posted where that can be, else over tokens."""
    timed = {result.case.op for result in artifact.results if result.measurements}
    ops = dict.fromkeys(result.case.op for result in artifact.results)
    return {op: _list_tables(_take(artifact, op), op) for op in ops if op in timed}


def _take(artifact: Artifact, op: str) -> Artifact:
    results = [each for each in artifact.results if each.case.op == op]
    return msgspec.structs.replace(artifact, results=results)


def _list_tables(artifact: Artifact, op: str) -> list[Table]:
    selectors = {result.selector for result in artifact.results}
    for name in POSTED.get(op, ()):
        # A form of speed-ups has nothing to say of a single backend.
        if len(selectors) > 1 or name == "sglang":
            try:
                return [_drop_empty(table) for table in render_form(name, artifact)]
            except RocmoeError:
                continue
    # By the first timer alone: the artifact has the others.
    request = msgspec.structs.replace(artifact.request, timers=[])
    return list_model_tables(msgspec.structs.replace(artifact, request=request))


def _drop_empty(table: Table) -> Table:
    """Without the columns that no row has anything in, such as of a backend that did not run."""
    kept = [
        number
        for number in range(len(table.columns))
        if any(row[number] != NOT_THERE for row in table.rows)
    ]
    return replace(
        table,
        columns=tuple(table.columns[number] for number in kept),
        rows=[[row[number] for number in kept] for row in table.rows],
    )
