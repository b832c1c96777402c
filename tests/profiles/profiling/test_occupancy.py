"""How many wave slots a launch fills, by hand."""

import pytest

from rocmoe.profiles.hardware import load_hardware
from rocmoe.profiles.profiling.kernels import list_kernels
from rocmoe.profiles.profiling.occupancy import find_filled
from rocmoe.profiles.profiling.trace import Agent, Dispatch, Trace

MI300X, H100 = load_hardware("mi300x"), load_hardware("h100")
AGENT = Agent(process="1", type="GPU", name="gfx942", index=4, cu_count=304, xcc_count=8)


def make_kernel(blocks=10_000, lanes=256, agent=AGENT, **more):
    given = {"vgprs": 64, "accum_vgprs": 0, "sgprs": 32, "lds_bytes": 0, **more}
    launch = Dispatch(
        process="1", kernel="k", agent="Agent 4", grid=(blocks * lanes, 1, 1),
        workgroup=(lanes, 1, 1), **given,
    )  # fmt: skip
    agents = (agent,) if agent else ()
    (kernel,) = list_kernels(Trace(tool="t", form="f", dispatches=(launch,), agents=agents))
    return kernel


@pytest.mark.parametrize(
    ("changes", "percent", "limited_by"),
    [
        # 512 registers a lane and SIMD: 8 waves of 64, 5 of 96, so 20 of a CU's 32.
        ({}, 100.0, "waves"),
        ({"vgprs": 96}, 62.5, "vgpr"),
        ({"vgprs": 60, "accum_vgprs": 36}, 62.5, "vgpr"),
        # 64 KiB of LDS hold two workgroups of 32 KiB, of four waves each.
        ({"lds_bytes": 32768}, 25.0, "lds"),
        # Half a workgroup a CU, of four waves, in 32 slots.
        ({"blocks": 152}, 100 * 0.5 * 4 / 32, "grid"),
        ({"vgprs": None, "total_vgprs": 96}, 62.5, "vgpr"),
    ],
)
def test_on_amd_registers_lds_and_the_grid_limit(changes, percent, limited_by):
    found = find_filled(make_kernel(**changes), "gfx942:sramecc+", None)
    assert found.percent == pytest.approx(percent)
    assert limited_by in found.limited_by


def test_hardware_tells_the_compute_units_that_no_agent_does():
    found = find_filled(make_kernel(152, agent=None), "gfx942", MI300X)
    assert found.percent == pytest.approx(6.25)
    assert find_filled(make_kernel(152, agent=None), "gfx942", None).percent == 100.0


@pytest.mark.parametrize("name", ["vgprs", "lds_bytes"])
def test_what_is_not_told_is_not_guessed(name):
    assert find_filled(make_kernel(**{name: None}), "gfx942", MI300X) is None
    assert find_filled(make_kernel(), "gfx1100", None) is None, "the size of its waves is not told"
    assert find_filled(make_kernel(), None, None) is None


def test_an_estimate_of_the_profiler_counts_and_a_small_grid_is_not_rounded_to_nothing():
    told = make_kernel(occupancy=50.0, waves_per_cu=200.0)
    assert find_filled(told, "sm_90", H100).percent == 50.0
    assert find_filled(told, "sm_90", H100).limited_by == ()
    small = make_kernel(occupancy=0.0, waves_per_cu=0.12)
    found = find_filled(small, "sm_90", H100)
    assert (found.percent, found.limited_by) == (pytest.approx(0.1875), ("grid",))
    assert find_filled(small, "sm_80", None).percent == 0.0
    full = make_kernel(occupancy=100.0, waves_per_cu=124.0)
    assert find_filled(full, "sm_90", H100).percent == 100.0
