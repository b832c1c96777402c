from __future__ import annotations

import hashlib
import importlib.util

import numpy as np
import pytest

triton = pytest.importorskip("triton", reason="triton is not installed")
import torch  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from .expressions import expressions, write_kernel  # noqa: E402
from .rig import ARCHS, compare, few, fill, simulate, to_numpy  # noqa: E402


def load_kernel(folder, source):
    name = f"generated_{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    path = folder / f"{name}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.kernel


@pytest.mark.parametrize("arch", ARCHS)
def test_straight_line_programs(arch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernels")

    @few(20)
    @given(
        expressions(),
        st.sampled_from([1, 2, 4, 8]),
        st.sampled_from([128, 512]),
        st.integers(1, 3),
        st.integers(0, 2**32),
    )
    def check(made, num_warps, block, programs, seed):
        random = np.random.default_rng(seed)
        n = block * programs - int(random.integers(0, 40)) * int(random.integers(0, 2))
        xs = [fill(random, kind, n) for kind in made.inputs]
        values = made.evaluate([to_numpy(x, kind) for x, kind in zip(xs, made.inputs, strict=True)])
        stored = sorted({*range(len(made.inputs), len(values))})[-3:]
        ys = {i: torch.zeros(n, dtype=made.kinds[i].torch) for i in stored}
        simulate(
            load_kernel(folder, write_kernel(made, stored)),
            (programs,),
            arch,
            family="elementwise",
            **{f"x{i}": x for i, x in enumerate(xs)},
            **{f"y{i}": y for i, y in ys.items()},
            n=n,
            BLOCK=block,
            num_warps=num_warps,
        )
        for i in stored:
            compare(ys[i], values[i], made.kinds[i])

    check()
