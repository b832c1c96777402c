import shutil
from pathlib import Path

import pytest

from rocmoe.ops.backends.flydsl import toolchain
from rocmoe.ops.core.errors import RocmoeError


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """No ROCm, no linker and no Triton, until a test puts one there."""
    monkeypatch.setattr(toolchain, "DEFAULT", str(tmp_path / "opt-rocm"))
    monkeypatch.setenv("ROCM_PATH", str(tmp_path / "named-rocm"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.syspath_prepend(tmp_path / "site")
    triton = tmp_path / "site" / "triton"
    triton.mkdir(parents=True)
    (triton / "__init__.py").write_text("raise ImportError('must not be imported')\n")
    monkeypatch.setattr(
        toolchain.importlib.util,
        "find_spec",
        lambda name: toolchain.importlib.machinery.PathFinder.find_spec(
            name, [str(tmp_path / "site")]
        ),
    )
    return tmp_path


def put(path, content=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(0o755)
    return path


def put_bitcode(machine):
    for name in toolchain.BITCODE:
        put(machine / "site/triton/backends/amd/lib" / name, name)


def test_rocm_is_where_the_linker_is(machine):
    assert toolchain.find_rocm() is None
    put(machine / "opt-rocm/llvm/bin/ld.lld")
    assert toolchain.find_rocm() == str(machine / "opt-rocm")
    (machine / "named-rocm").mkdir()  # an empty one is passed over
    with toolchain.laid_out_rocm() as folder:
        assert folder == str(machine / "opt-rocm")
    put(machine / "named-rocm/llvm/bin/ld.lld")
    assert toolchain.find_rocm() == str(machine / "named-rocm")
    assert toolchain.explain_no_toolchain() is None


def test_another_lld_and_tritons_libraries_serve_too(machine):
    put(machine / "bin/ld.lld-18")
    newest = put(machine / "bin/ld.lld-19")
    put_bitcode(machine)
    assert toolchain.explain_no_toolchain() is None
    with toolchain.laid_out_rocm() as folder:
        assert (Path(folder) / "llvm/bin/ld.lld").resolve() == newest
        assert (Path(folder) / "amdgcn/bitcode/ocml.bc").read_text() == "ocml.bc"
        assert (Path(folder) / "amdgcn/bitcode/ockl.bc").read_text() == "ockl.bc"
    assert not Path(folder).exists()
    assert newest.exists()


def test_what_is_missing_is_said(machine):
    put_bitcode(machine)
    assert "links with ld.lld, which is neither" in toolchain.explain_no_toolchain()
    put(machine / "bin/ld.lld")
    (machine / "site/triton/backends/amd/lib/ockl.bc").unlink()
    assert "wants ROCm's device libraries" in toolchain.explain_no_toolchain()
    shutil.rmtree(machine / "site/triton")
    assert "wants ROCm's device libraries" in toolchain.explain_no_toolchain()
    with (
        pytest.raises(RocmoeError, match="does not compile here: it wants ROCm's device"),
        toolchain.laid_out_rocm(),
    ):
        pass
