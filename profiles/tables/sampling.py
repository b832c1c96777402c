"""The table of sgl-project/sglang#23388: how many times as fast as torch a kernel is, by batch."""

from __future__ import annotations

from collections.abc import Sequence

from rocmoe.profiles.artifact import Artifact, CaseRecord
from rocmoe.profiles.tables.beside import MARK, NOTHING, list_notes, list_posted, tell_cell
from rocmoe.profiles.tables.form import Form
from rocmoe.profiles.tables.table import Table
from rocmoe.profiles.tables.view import NOT_THERE, View, group_cases, lack, make_views

TORCH = "torch"
#: What a size is called there.
SIZES = {"V": "V", "N": "draft"}


def render(artifact: Artifact, published: bool = False) -> list[Table]:
    """A table a backend and cache state, with a row an op and shape; raises as `make_views`, and
    where torch or all others are missing."""
    tables = [
        _make_table(view, selector, published)
        for view in make_views(artifact, FORM)
        if TORCH in view.names
        for selector in view.names
        if selector != TORCH
    ]
    if not tables:
        found = dict.fromkeys(each.selector for each in artifact.results)
        raise lack(FORM, "torch and another backend", ", ".join(found))
    return tables


def _make_table(view: View, selector: str, published: bool) -> Table:
    groups = [
        cases
        for cases in group_cases(view, ("B",))
        if any(view.find(case, selector) is not None for case in cases)
    ]
    groups.sort(key=lambda cases: FORM.ops.index(cases[0].op))
    batches = sorted({case.sizes["B"] for cases in groups for case in cases})
    rows: list[list[str]] = []
    for cases in groups:
        rows.append(_make_row(view, cases, selector, batches))
        if published and (posted := list_posted(cases, FORM.document)):
            rows.append(_make_posted_row(posted[0].cells["Kernel"], cases, batches))
    every = [case for cases in groups for case in cases]
    notes = list_notes(list_posted(every, FORM.document)) if published else []
    return Table(
        f"{view.names[selector]}: speed-up over torch",
        ("Kernel", *(f"bs={batch}" for batch in batches)),
        rows,
        notes=(*view.list_notes(), "draft: columns of candidates", *notes),
    )


def _make_row(
    view: View, cases: Sequence[CaseRecord], selector: str, batches: Sequence[int]
) -> list[str]:
    factors = {case.sizes["B"]: view.find_ratio(case, TORCH, selector) for case in cases}
    return [name_row(view, cases[0]), *(_tell_factor(factors.get(batch)) for batch in batches)]


def name_row(view: View, case: CaseRecord) -> str:
    """The op and its sizes: `chain_speculative_sampling (V=32K, draft=4)`."""
    sizes = [
        f"{SIZES.get(name, name)}={_shorten(size) if name == 'V' else size}"
        for name, size in case.sizes.items()
        if name != "B"
    ]
    sizes.sort(key=lambda word: not word.startswith("V="))
    return f"{case.op} ({', '.join([*sizes, *view.describe_rest(case)])})"


def _shorten(size: int) -> str:
    """32000 is 32K."""
    return f"{size // 1000}K" if size % 1000 == 0 else str(size)


def _make_posted_row(
    name: object, cases: Sequence[CaseRecord], batches: Sequence[int]
) -> list[str]:
    figures = {case.sizes["B"]: list_posted([case], FORM.document) for case in cases}
    posted = {batch: rows[0].figures[0].value for batch, rows in figures.items() if rows}
    cells = [f"{tell_cell(posted[each])}x" if each in posted else NOTHING for each in batches]
    return [f"{name} {MARK}", *cells]


def _tell_factor(ratio: float | None) -> str:
    return NOT_THERE if ratio is None else f"{ratio:.2f}x"


FORM = Form(
    "sampling",
    "sglang-23388",
    (
        "top_p_renorm_probs",
        "chain_speculative_sampling",
        "top_k_top_p_renorm_probs",
        "top_k_renorm_probs",
        "tree_speculative_sampling_target_only",
    ),
    "rocmoe bench top_p_renorm_probs chain_speculative_sampling top_k_top_p_renorm_probs "
    '--backend torch --backend triton --sweep "B=1,4,16;V=32000"',
    render,
)
