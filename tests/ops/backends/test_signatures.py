"""Adapters against recorded signatures: who is found in which version, and by which form."""

import inspect
import sys

import pytest

from rocmoe.ops.core.backend import find_library, list_backends, load_backend
from rocmoe.ops.core.implementation import writes_outputs
from rocmoe.ops.core.peer import Form, find_form
from rocmoe.ops.core.peer_import import explain_import, explain_signature
from rocmoe.ops.core.spec import load_op

LIBRARIES = [name for name in list_backends() if find_library(name)]
VARIANTS = [(name, each) for name in LIBRARIES for each in find_library(name).variants]
FORK = {"top_p_renorm_probs", "top_k_top_p_renorm_probs", "chain_speculative_sampling"}

#: Functions of each set of recorded signatures that serve nothing there, and forms that are not
#: the first of their variant.
EXPECTED = {
    "aiter": (FORK, {}),
    "aiter_fork": (None, {}),
    "flashinfer": (set(), {}),
    "vllm": (set(), {}),
    "flydsl": (set(), {}),
    "flydsl_old": (
        set(),
        {
            "topk_gating_softmax": "bind_old_topk_gating_softmax",
            "moe_sorting_flydsl": "bind_old_moe_sorting_flydsl",
            "moe_softmax_sort_flydsl": "bind_old_moe_softmax_sort_flydsl",
        },
    ),
    "sgl_kernel": (
        {"moe_fused_gate", "kimi_k2_moe_fused_gate"},
        {"tree_speculative_sampling_target_only": "bind_sglang_tree"},
    ),
    "sgl_kernel_0_3": (
        {"triton_moe_fused_gate", "top_k_renorm_probs_triton", "top_p_renorm_probs_triton"},
        {},
    ),
    "sgl_kernel_old": (
        None,
        {
            "topk_softmax": "bind_old_topk_softmax",
            "moe_align_block_size": "bind_old_moe_align_block_size",
            "moe_fused_gate": "bind_old_moe_fused_gate",
        },
    ),
}


def name_library(recorded):
    return next(name for name in LIBRARIES if recorded.startswith(name))


@pytest.mark.parametrize("recorded", EXPECTED)
def test_what_is_found_in_a_version(stand_ins, monkeypatch, recorded):
    missing, others = EXPECTED[recorded]
    stand_ins.install(monkeypatch, recorded)
    found = [(each, find_form(each)) for each in find_library(name_library(recorded)).variants]
    absent = {each.name: form for each, form in found if isinstance(form, str)}
    if missing is not None:
        assert absent.keys() == missing, absent
    named = {each.name: form.bind.__name__ for each, form in found if isinstance(form, Form)}
    assert others.items() <= named.items()
    for each, form in found:
        if isinstance(form, Form) and each.name not in others:
            assert form is each.forms[0]


def test_every_recorded_function_is_served(stand_ins):
    """None was recorded in vain: each is some form's, but for what forms call beside it."""
    served = {form.path for _, variant in VARIANTS for form in variant.forms}
    beside = {"aiter:moe_sorting_opus_get_workspace_size"}
    for recorded in EXPECTED:
        for record in stand_ins.read_signatures(recorded):
            path = f"{record['module']}:{record['name']}"
            assert path in served | beside, path
            assert record["source"]


@pytest.mark.parametrize(
    ("backend", "variant"), VARIANTS, ids=lambda each: getattr(each, "name", each)
)
def test_binders_have_the_ops_signature_and_stand_alone(backend, variant):
    spec = load_op(variant.op)
    for form in variant.forms:
        writes_outputs(spec, form.bind)
        wanted = [argument.name for argument in spec.inputs]
        assert list(inspect.signature(form.bind).parameters)[: len(wanted)] == wanted
        assert form.bind.__closure__ is None
        used = {name for name in form.bind.__code__.co_names if name in form.bind.__globals__}
        assert used == set(), f"{form.bind.__name__} uses {used} of its module"
    assert variant.forms
    for limit in (*variant.limits, *(each for form in variant.forms for each in form.limits)):
        assert limit.source
        assert limit.kind in ("contract", "checked", "unchecked")


def test_names_are_unique_and_the_modules_are_backends():
    for name in LIBRARIES:
        backend = load_backend(name)
        assert (name, backend.LIBRARY.devices) == (backend.NAME, backend.DEVICES)
        assert "gpu" in backend.DEVICES
        keys = [(each.op, each.name) for each in backend.LIBRARY.variants]
        assert len(keys) == len(set(keys))


def of(text):
    scope = {}
    exec(f"def f({text}): ...", scope)
    return scope["f"]


@pytest.mark.parametrize(
    ("signature", "fits"),
    [
        ("a, b, c", True),
        ("a, b, c, d=1", True),
        ("a, b, c, *, d=1", True),
        ("a, b, *, c", True),
        ("a, b, c, d", False),
        ("b, a, c", False),
        ("a, c", False),
        ("a, b", False),
        ("a, x, b, c", False),
        ("*args, **kwargs", True),
    ],
)
def test_a_signature_fits_by_the_names_that_are_passed(signature, fits):
    reason = explain_signature("m.f", of(signature), ("a", "b"), ("c",))
    assert (reason is None) == fits
    if not fits:
        assert reason.startswith("m.f takes (")
        assert reason.endswith("wanted (a, b, c)")


def test_why_a_library_is_not_there(monkeypatch, tmp_path):
    assert explain_import("no_such_library") == "no_such_library is not installed"
    (tmp_path / "half").mkdir()
    (tmp_path / "half/__init__.py").write_text("import no_such_dependency")
    (tmp_path / "exits.py").write_text("raise SystemExit(3)")
    (tmp_path / "broken.py").write_text("raise OSError('libx.so: not found')")
    monkeypatch.syspath_prepend(tmp_path)
    assert explain_import("half") == (
        "half cannot be imported: ModuleNotFoundError: No module named 'no_such_dependency'"
    )
    assert explain_import("exits") == "exits cannot be imported: SystemExit: 3"
    assert explain_import("broken") == "broken cannot be imported: OSError: libx.so: not found"


def test_another_package_of_the_same_name(monkeypatch, tmp_path):
    (tmp_path / "aiter.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "aiter", None)  # so that it is put back
    del sys.modules["aiter"]
    assert load_backend("aiter").find_absence() == (
        "aiter.ops is not installed; build ROCm/aiter from source (the aiter of PyPI is another "
        "package)"
    )


def test_flydsl_is_where_the_variable_says(monkeypatch, tmp_path, stand_ins):
    backend = load_backend("flydsl")
    monkeypatch.delenv("ROCMOE_FLYDSL", raising=False)
    assert backend.find_absence() == "ROCMOE_FLYDSL names no checkout of ROCm/FlyDSL"
    assert not backend.LIBRARY.is_installed()
    monkeypatch.setenv("ROCMOE_FLYDSL", str(tmp_path))
    assert "has no folder kernels" in backend.find_absence()
    (tmp_path / "kernels").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert backend.find_absence().startswith("flydsl is not installed; pip install flydsl")
    assert backend.LIBRARY.is_installed()
