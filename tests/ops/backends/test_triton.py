import sys

import pytest

from rocmoe.ops.backends import triton as backend
from rocmoe.ops.core.device import parse_device
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.spec import load_op

SPEC = load_op("topk_softmax")


def test_says_what_to_install_where_triton_is_not(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    assert backend.find_absence() == "triton is not installed; pip install 'rocmoe[sim]'"
    assert backend.find(SPEC, "") is None


def test_says_why_triton_cannot_be_imported(monkeypatch, tmp_path):
    (tmp_path / "triton.py").write_text("raise OSError('libtriton.so: GLIBC_2.99 not found')")
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert backend.find_absence() == (
        "triton cannot be imported: OSError: libtriton.so: GLIBC_2.99 not found"
    )


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("3.5.1", "triton 3.5.1 is too old; wanted 3.6 or newer"),
        ("2.3.0+rocm6.2", "triton 2.3.0+rocm6.2 is too old; wanted 3.6 or newer"),
        ("3.6.0", None),
        ("3.10.0+git1234", None),
    ],
)
def test_refuses_versions_that_compile_otherwise(monkeypatch, version, reason):
    triton = pytest.importorskip("triton")
    monkeypatch.setattr(triton, "__version__", version)
    assert backend.find_absence() == reason


def test_finds_the_kernels_of_an_op_and_where_they_run():
    pytest.importorskip("triton")
    found = backend.find(SPEC, "")
    assert (found.op, found.backend, found.devices) == ("topk_softmax", "triton", ("gpu", "sim"))
    case = SPEC.make_case(SPEC.cases[0])
    assert found.find_refusal(case, parse_device("sim:gfx942")) is None
    assert found.find_refusal(case, parse_device("cpu")) == (
        "triton does not run on cpu; it runs on gpu, sim"
    )


def test_has_neither_variants_nor_kernels_for_an_unknown_op():
    with pytest.raises(RocmoeError, match="has no variants, found 'fast'; wanted triton"):
        backend.find(SPEC, "fast")

    class Unknown:
        name = "no_such_op"

    assert backend.find(Unknown, "") is None
