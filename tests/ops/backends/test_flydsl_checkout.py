"""FlyDSL's own kernels, compiled and simulated.  Runs where a checkout and the compiler are:

pip install flydsl
ROCMOE_FLYDSL=/path/to/FlyDSL pytest tests/ops/backends/test_flydsl_checkout.py
"""

import os

import pytest

from rocmoe.ops.backends.flydsl import LIBRARY
from rocmoe.ops.backends.flydsl.checkout import VARIABLE
from rocmoe.ops.core.device import parse_device
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.examination import examine
from rocmoe.profiles.suites import list_cases

GFX942 = parse_device("sim:gfx942")

pytestmark = [
    pytest.mark.skipif(VARIABLE not in os.environ, reason=f"{VARIABLE} names no checkout"),
    pytest.mark.filterwarnings("default"),  # those of its compiler are its own
]


@pytest.mark.parametrize("op", sorted({variant.op for variant in LIBRARY.variants}))
def test_smoke_cases_pass(op):
    assert LIBRARY.find_absence() is None
    spec = load_op(op)
    implementation = LIBRARY.find(spec, "")
    assert implementation.find_absence() is None
    for case in list_cases(spec, "smoke"):
        assert implementation.find_refusal(case, GFX942) is None
        examined = examine(spec, case, implementation, GFX942, strict=False)
        assert examined.verdict.ok, (case.id, examined.verdict.findings[:3])
        assert examined.counts["instructions"] > 0
