"""The table of sgl-project/sglang#21421: torch and others on the gating of a model, over tokens."""

from __future__ import annotations

from collections.abc import Sequence

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.artifact import Artifact, CaseRecord, Result
from rocmoe.profiles.model import load_model
from rocmoe.profiles.tables.beside import put_beside
from rocmoe.profiles.tables.form import Form
from rocmoe.profiles.tables.table import Table
from rocmoe.profiles.tables.view import (
    NOT_THERE,
    View,
    group_cases,
    list_selectors,
    make_views,
)

#: How the published token counts are made of sequences: (bs, seq) by tokens.
SPLITS = {
    **{tokens: (tokens, 1) for tokens in (1, 4, 8, 16, 32, 64, 128)},
    **{1024 * bs: (bs, 1024) for bs in (1, 4, 8, 16, 32, 64, 128)},
    **{8192 * bs: (bs, 8192) for bs in (32, 64, 128)},
}
DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
TORCH = "torch"
SHAPE = ("bs", "seq", "dtype", "token", "expert", "topk")
ERRORS = (
    "err: the largest error as a share of its limit, or the status of what did not pass; "
    "in the published table it is the share of elements that differ by more than 1 %"
)


def render(artifact: Artifact, published: bool = False) -> list[Table]:
    """A table an op, expert count and top k, and cache state; raises as `make_views`."""
    return [
        _make_table(view, cases, published)
        for view in make_views(artifact, FORM)
        for cases in group_cases(view, ("T", "dtype"))
    ]


def _make_table(view: View, cases: Sequence[CaseRecord], published: bool) -> Table:
    others = [each for each in list_selectors(view, cases) if each != TORCH]
    base = others[0] if len(others) > 1 else TORCH
    rows = [_make_row(view, case, others, base) for case in cases]
    beside = put_beside(cases, published)
    columns = [*SHAPE, "torch_us"]
    columns += [f"{view.names[each]}_{what}" for each in others for what in ("us", "err")]
    columns += [f"{view.names[each]}_vs_{view.names.get(base, base)}"
                for each in others if each != base]  # fmt: skip
    return Table(
        _make_title(view, cases[0]),
        (*columns, *beside.columns),
        beside.extend(rows),
        notes=(*view.list_notes(), ERRORS, *beside.notes),
    )


def _make_title(view: View, case: CaseRecord) -> str:
    words = [*_list_models(view.artifact, case)]
    if not words or case.op != "topk_softmax":
        words.append(case.op)
    shape = f"(E=[{case.sizes['E']}], topk=[{case.sizes['k']}])"
    return " ".join(["SUMMARY —", *words, shape, *view.describe_rest(case)])


def _list_models(artifact: Artifact, case: CaseRecord) -> list[str]:
    """The models of the request that have this shape; with those that cannot be read here."""
    return [name for name in artifact.request.models if _may_have(name, case)]


def _may_have(model: str, case: CaseRecord) -> bool:
    try:
        found = load_op(case.op).from_model(load_model(model).values())
    except RocmoeError:  # a file of another machine: it was asked for, and nothing says otherwise
        return True
    return found is not None and all(case.sizes[name] == size for name, size in found[0].items())


def _make_row(view: View, case: CaseRecord, others: Sequence[str], base: str) -> list[str]:
    tokens = case.sizes["T"]
    bs, seq = SPLITS.get(tokens, (tokens, 1))
    shape = [bs, seq, DTYPES.get(case.dtype, case.dtype), tokens, case.sizes["E"], case.sizes["k"]]
    cells = [*map(str, shape), view.tell_us(case, TORCH)]
    for selector in others:
        cells += [view.tell_us(case, selector), _tell_error(view.find(case, selector))]
    for selector in (each for each in others if each != base):
        ratio = view.tell_ratio(case, base, selector)
        cells.append(ratio if ratio == NOT_THERE else f"{ratio}x")
    return cells


def _tell_error(result: Result | None) -> str:
    if result is None:
        return NOT_THERE
    if result.status != "pass":
        return result.status
    return "exact" if result.error_ratio is None else f"{result.error_ratio:.2g}"


FORM = Form(
    "sglang",
    "sglang-21421",
    ("topk_softmax", "topk_sigmoid", "grouped_topk"),
    "rocmoe bench topk_softmax --sweep "
    '"T=1,4,8,16,32,64,128,1024,4096,8192,16384;E=256;k=8;dtype=bf16"',
    render,
)
