"""The table of ROCm/FlyDSL#426: blocks, tokens, median, 99th percentile, and speed-ups over each
other kernel."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from rocmoe.profiles.artifact import Artifact, CaseRecord, Result
from rocmoe.profiles.measuring.statistics import find_percentile
from rocmoe.profiles.published import PostedRow
from rocmoe.profiles.tables.beside import MARK, NOTHING, list_notes, list_posted, tell_cell
from rocmoe.profiles.tables.form import Form
from rocmoe.profiles.tables.table import Table
from rocmoe.profiles.tables.view import (
    NOT_THERE,
    View,
    bracket,
    choose_subject,
    group_cases,
    list_selectors,
    make_views,
)

COLUMNS = ("Kernel", "Number of Blocks", "Number of Tokens", "med (us)", "p99 (us)")
OVER = "Speedup over "
BASELINE = "baseline"
#: A grid among the launch parameters of a kernel that ran.
_GRID = re.compile(r"\bgrid=(\d+(?:x\d+)*)")


def render(artifact: Artifact, published: bool = False) -> list[Table]:
    """A table a shape, dtype and cache state; raises as `make_views`."""
    return [
        _make_table(view, cases, published)
        for view in make_views(artifact, FORM)
        for cases in group_cases(view, ("T",))
    ]


def _make_table(view: View, cases: Sequence[CaseRecord], published: bool) -> Table:
    selectors = list_selectors(view, cases)
    subject = choose_subject(selectors)
    others = [each for each in selectors if each != subject]
    posted = list_posted(cases, FORM.document) if published else []
    theirs = [name for name in posted[0].table.columns if name.startswith(OVER)] if posted else []
    rows = [
        [*_make_row(view, case, selector, subject, others), *(NOTHING for _ in theirs)]
        for selector in (*others, subject)
        for case in cases
        if view.find(case, selector) is not None
    ]
    rows += [_make_posted_row(row, len(others), theirs) for row in posted]
    columns = (*COLUMNS, *(OVER + view.names[each] for each in others))
    marked = (f"{name} {MARK}" for name in theirs)
    notes = [*view.list_notes(), "blocks: - where the result does not say its grid"]
    return Table(
        _make_title(view, cases[0]),
        (*columns, *marked),
        rows,
        notes=(*notes, *(list_notes(posted) if published else ())),
    )


def _make_title(view: View, case: CaseRecord) -> str:
    shape = f"{case.op}: E={case.sizes['E']}, topk={case.sizes['k']}, {case.dtype}"
    return ", ".join([shape, *view.describe_rest(case)])


def _make_row(
    view: View, case: CaseRecord, selector: str, subject: str, others: Sequence[str]
) -> list[str]:
    result, taken = view.find(case, selector), view.find_measurement(case, selector)
    p99 = find_percentile(taken.samples_us, 99.0) if taken else None
    return [
        view.names[selector],
        count_blocks(result) if result else NOTHING,
        f"T = {case.sizes['T']}",
        view.tell_us(case, selector),
        bracket(taken, p99) if taken else NOT_THERE,
        *(_tell_speedup(view, case, selector, subject, other) for other in others),
    ]


def _tell_speedup(view: View, case: CaseRecord, selector: str, subject: str, other: str) -> str:
    """Baselines have no speed-up over each other."""
    if selector == subject:
        return view.tell_ratio(case, other, subject)
    return BASELINE if selector == other else ""


def count_blocks(result: Result) -> str:
    """The blocks of the only kernel that names its grid; several have no one count."""
    grids = [found[1] for variant in result.variants for found in _GRID.finditer(variant)]
    return str(math.prod(map(int, grids[0].split("x")))) if len(grids) == 1 else NOTHING


def _make_posted_row(row: PostedRow, others: int, theirs: Sequence[str]) -> list[str]:
    kernel, *rest = (tell_cell(row.cells[column]) for column in COLUMNS)
    speedups = (tell_cell(row.cells[column]) for column in theirs)
    return [f"{kernel} {MARK}", *rest, *(NOTHING for _ in range(others)), *speedups]


FORM = Form(
    "flydsl",
    "flydsl-426",
    ("topk_softmax",),
    'rocmoe bench topk_softmax --sweep "T=16,32,64,128,4096,16384;E=128;k=4;dtype=bf16"',
    render,
)
