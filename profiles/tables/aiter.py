"""The table of ROCm/aiter#1909: two kernels side by side, and a line that sums them up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rocmoe.profiles.artifact import Artifact, CaseRecord
from rocmoe.profiles.tables.beside import put_beside
from rocmoe.profiles.tables.form import Form
from rocmoe.profiles.tables.table import Table
from rocmoe.profiles.tables.view import (
    NOT_THERE,
    View,
    choose_subject,
    group_cases,
    lack,
    list_selectors,
    make_views,
)

PASS = "PASS"
STATUS = (
    "Status: PASS where both passed; else the worst status, and whose it is; "
    "the summary counts all rows, and averages those with a speedup"
)


def render(artifact: Artifact, published: bool = False) -> list[Table]:
    """A table an expert count, other backend and cache state, the last of a backend's with the
    summary of all; raises as `make_views`, and where there is one backend alone."""
    tables = [
        table
        for view in make_views(artifact, FORM)
        for base, subject in _list_pairs(view)
        for table in _make_tables(view, base, subject, published)
    ]
    if not tables:
        found = dict.fromkeys(each.selector for each in artifact.results)
        raise lack(FORM, "two backends on the same cases", ", ".join(found))
    return tables


def _list_pairs(view: View) -> list[tuple[str, str]]:
    subject = choose_subject(list(view.names))
    return [(each, subject) for each in view.names if each != subject]


def _make_tables(view: View, base: str, subject: str, published: bool) -> list[Table]:
    groups = [
        cases
        for cases in group_cases(view, ("T", "k", "dtype"))
        if {base, subject} <= set(list_selectors(view, cases))
    ]
    tables = [_make_table(view, cases, base, subject, published) for cases in groups]
    if tables:
        cases = [case for group in groups for case in group]
        tables[-1] = replace(tables[-1], summary=(summarize(view, cases, base, subject),))
    return tables


def _make_table(
    view: View, cases: Sequence[CaseRecord], base: str, subject: str, published: bool
) -> Table:
    beside = put_beside(cases, published)
    times = (f"{view.names[each]} (μs)" for each in (base, subject))
    title = " ".join([f"{cases[0].sizes['E']} Experts", *view.describe_rest(cases[0])])
    return Table(
        title,
        ("Tokens", "TopK", "DType", *times, "Speedup", "Status", *beside.columns),
        beside.extend([_make_row(view, case, base, subject) for case in cases]),
        notes=(*view.list_notes(), STATUS, *beside.notes),
    )


def _make_row(view: View, case: CaseRecord, base: str, subject: str) -> list[str]:
    return [
        str(case.sizes["T"]),
        str(case.sizes["k"]),
        case.dtype,
        view.tell_us(case, base),
        view.tell_us(case, subject),
        _tell_factor(view.find_ratio(case, base, subject)),
        _judge(view, case, base, subject),
    ]


def _judge(view: View, case: CaseRecord, base: str, subject: str) -> str:
    for selector in (subject, base):
        result = view.find(case, selector)
        if result is None or result.status != "pass":
            status = result.status.upper() if result else NOT_THERE
            return f"{status} ({view.names[selector]})"
    return PASS


def summarize(view: View, cases: Sequence[CaseRecord], base: str, subject: str) -> str:
    """How many passed, and the mean, median, best and worst speed-up of a backend over another."""
    passed = sum(_judge(view, case, base, subject) == PASS for case in cases)
    found = [view.find_ratio(case, base, subject) for case in cases]
    ratios = [ratio for ratio in found if ratio is not None]
    figures = {
        "Avg": float(np.mean(ratios)) if ratios else None,
        "Median": float(np.median(ratios)) if ratios else None,
        "Best": max(ratios, default=None),
        "Worst": min(ratios, default=None),
    }
    told = [f"{name}: {_tell_factor(figure)}" for name, figure in figures.items()]
    return " | ".join([f"Summary: {passed}/{len(cases)} PASS", *told])


def _tell_factor(ratio: float | None) -> str:
    return NOT_THERE if ratio is None else f"{ratio:.2f}x"


FORM = Form(
    "aiter",
    "aiter-1909",
    ("topk_sigmoid",),
    "rocmoe bench topk_sigmoid --backend torch --backend triton "
    '--sweep "T=256,512,1024,2048,4096;k=4,8;dtype=fp16,bf16;E=64,128"',
    render,
)
