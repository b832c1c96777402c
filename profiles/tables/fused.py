"""The table of ROCm/FlyDSL#582: choosing and sorting as one kernel, and as two."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from rocmoe.profiles.artifact import Artifact, CaseRecord, Timer
from rocmoe.profiles.bench_report import format_us
from rocmoe.profiles.tables.beside import MARK, list_notes, list_posted, tell_cell
from rocmoe.profiles.tables.form import Form
from rocmoe.profiles.tables.table import Table
from rocmoe.profiles.tables.view import View, group_cases, lack, list_selectors, make_views

#: What a way to time is called there: eager calls are those that the host's clock times.
WAYS: dict[str, Timer] = {"eager": "wall", "graph": "graph", "kernel": "kernel"}
COLUMNS = (
    "T",
    *(f"{which}_{way}" for way in WAYS for which in ("unfused", "fused")),
    *(f"{way} speedup" for way in WAYS),
)
UNFUSED = "unfused"


def render(artifact: Artifact, published: bool = False) -> list[Table]:
    """A table a shape, cache state and fused kernel; raises as `make_views`, and where the artifact
    does not have both a pair and a fused kernel."""
    tables = [
        _make_table(view, cases, pair, fused, published)
        for view in make_views(artifact, FORM, tuple(WAYS.values()))
        for cases in group_cases(view, ("T",))
        for pair, fused in _list_pairs(list_selectors(view, cases))
    ]
    if not tables:
        found = dict.fromkeys(each.selector for each in artifact.results)
        wanted = "a fused kernel and a pair whose file or function is called unfused"
        raise lack(FORM, wanted, ", ".join(found))
    return tables


def _list_pairs(selectors: Sequence[str]) -> list[tuple[str, str]]:
    """Each unfused pair with each fused kernel; torch's operations are neither."""
    unfused = [each for each in selectors if is_unfused(each)]
    fused = [each for each in selectors if each not in unfused and each != "torch"]
    return [(pair, kernel) for pair in unfused for kernel in fused]


def is_unfused(selector: str) -> bool:
    """Whether the file or function of a user's candidate is called unfused."""
    _, _, variant = selector.partition(":")
    path, _, function = variant.rpartition(":")
    return UNFUSED in PurePath(path).stem or UNFUSED in function


def _make_table(
    view: View, cases: Sequence[CaseRecord], pair: str, fused: str, published: bool
) -> Table:
    rows: list[list[str]] = []
    for case in cases:
        rows.append(_make_row(view, case, pair, fused))
        for posted in list_posted([case], FORM.document) if published else ():
            cells = [tell_cell(posted.cells[column]) for column in COLUMNS]
            rows.append([f"{cells[0]} {MARK}", *cells[1:]])
    notes = [*view.list_notes(), f"unfused: {pair}; fused: {fused}; eager: the wall timer"]
    if published:
        notes += list_notes(list_posted(cases, FORM.document))
    return Table(_make_title(view, cases[0], fused), COLUMNS, rows, notes=tuple(notes))


def _make_title(view: View, case: CaseRecord, fused: str) -> str:
    sizes = case.sizes
    shape = f"E={sizes['E']}, topk={sizes['k']}, model_dim={sizes['D']}, {case.dtype}"
    return ", ".join([f"{view.names[fused]}: {shape}", *view.describe_rest(case)])


def _make_row(view: View, case: CaseRecord, pair: str, fused: str) -> list[str]:
    times = [
        view.tell_us(case, selector, timer, format_us)
        for timer in WAYS.values()
        for selector in (pair, fused)
    ]
    ratios = [view.tell_ratio(case, pair, fused, timer) for timer in WAYS.values()]
    return [str(case.sizes["T"]), *times, *ratios]


FORM = Form(
    "fused",
    "flydsl-582",
    ("topk_softmax_sorting",),
    "rocmoe bench topk_softmax_sorting --backend triton "
    "--impl docs/examples/unfused_pair.py:topk_softmax_sorting "
    '--sweep "T=1,2,4,8,12,16;E=256;k=8;D=7168;dtype=bf16"',
    render,
)
