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


@st.composite
def draws(draw):
    block, programs = draw(st.sampled_from([128, 512])), draw(st.integers(1, 3))
    n = block * programs - draw(st.sampled_from([0, 0, 1, 16, 39]))
    return draw(expressions()), draw(st.sampled_from([1, 2, 4, 8])), block, programs, n


def check_program(arch, drawn, folder):
    made, num_warps, block, programs, n = drawn
    random = np.random.default_rng(n)
    xs = [fill(random, kind, n) for kind in made.inputs]
    values = made.evaluate([to_numpy(x, kind) for x, kind in zip(xs, made.inputs, strict=True)])
    stored = list(range(len(made.inputs), len(values)))[-3:]
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


@pytest.mark.parametrize("arch", ARCHS)
def test_straight_line_programs(arch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernels")

    @few(20)
    @given(draws())
    def check(drawn):
        check_program(arch, drawn, folder)

    check()
