"""What FlyDSL's compiler takes from ROCm: a linker and device libraries, which others have too.

MLIR's `gpu-module-to-binary` looks for them under $ROCM_PATH.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rocmoe.ops.core.errors import RocmoeError

#: ROCm's is named plainly, a distribution's may carry the version of LLVM.
LINKERS = ("ld.lld", *(f"ld.lld-{version}" for version in range(40, 14, -1)))
DEFAULT = "/opt/rocm"
#: ROCm's device libraries that kernels may call into; Triton's wheel brings them too.
BITCODE = ("ocml.bc", "ockl.bc")


def find_rocm() -> str | None:
    """The folder of a ROCm that has a linker, $ROCM_PATH or /opt/rocm."""
    folders = [folder for folder in (os.environ.get("ROCM_PATH"), DEFAULT) if folder]
    return next((each for each in folders if (Path(each) / "llvm/bin/ld.lld").exists()), None)


def find_linker() -> str | None:
    """A linker of LLVM on PATH."""
    return next((found for name in LINKERS if (found := shutil.which(name))), None)


def find_bitcode() -> Path | None:
    """The folder of Triton's wheel with the device libraries; imports nothing."""
    triton = importlib.util.find_spec("triton")
    folders = [
        Path(f) / "backends/amd/lib" for f in (triton and triton.submodule_search_locations) or ()
    ]
    return next((each for each in folders if all((each / n).exists() for n in BITCODE)), None)


def explain_no_toolchain() -> str | None:
    """Why nothing can be compiled here, None where it can."""
    if find_rocm():
        return None
    if not find_linker():
        return (
            "it links with ld.lld, which is neither in ROCm's folders nor on PATH: apt install lld"
        )
    if not find_bitcode():
        return "it wants ROCm's device libraries, from ROCm or from Triton: pip install triton"
    return None


@contextmanager
def laid_out_rocm() -> Iterator[str]:
    """A folder laid out as ROCm's, as far as the compiler looks; raises RocmoeError for none."""
    if found := find_rocm():
        yield found
        return
    linker, bitcode = find_linker(), find_bitcode()
    if linker is None or bitcode is None:
        raise RocmoeError(f"FlyDSL does not compile here: {explain_no_toolchain()}")
    with tempfile.TemporaryDirectory(prefix="rocmoe-rocm-") as folder:
        links = {"llvm/bin/ld.lld": Path(linker)}
        links |= {f"amdgcn/bitcode/{name}": bitcode / name for name in BITCODE}
        for name, target in links.items():
            link = Path(folder) / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
        yield folder
