"""What differs between two artifacts, what depends on it, and what allows it."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.artifact import Measurement, read_artifact
from rocmoe.profiles.comparing.comparability import KINDS, check_kinds, find_differences
from rocmoe.profiles.environment import Gpu
from rocmoe.profiles.isa_record import IsaRecord

RUN = read_artifact(Path(__file__).parents[2] / "artifacts/v4.json")
H100 = Gpu(0, "NVIDIA H100 80GB HBM3", "sm_90", 85017493504)
H200 = Gpu(0, "NVIDIA H200", "sm_90", 150109880320)
CODE = IsaRecord("k", "gfx942", "3.6.0", 64, 64, 8, 0, 8, 0, 0, 0, 0, 64, 8, 8, ["waves"], {})


def make_result(device="gpu:0", timers=(), mhz=1700.0, backend="triton", **more):
    clocks = {"before": [mhz], "after": [mhz]}
    taken = [Measurement(each, "warm", "ok", [[2.0]], [1], clocks=clocks) for each in timers]
    return replace(
        RUN.results[0], device=device, backend=backend, measurements=taken, status="pass", **more
    )


def compare(result, other=None, request=None, environment=None, allowed=(), of_base=None):
    """The differences of two artifacts of one result each, and of what `new` has changed."""
    base = replace(RUN, results=[result])
    known = replace(base.environment, gpus=[H100], **(of_base or {}))
    base = replace(base, environment=known)
    new = replace(
        base,
        request=replace(base.request, **(request or {})),
        environment=replace(known, **(environment or {})),
    )
    return find_differences(base, new, [(result, other or result)], check_kinds(allowed))


def tell(differences):
    return [(each.kind, each.what, each.dimensions) for each in differences]


TIMED = make_result(timers=["graph"])
BY_WALL = make_result(timers=["wall"])
ON_CPU = make_result("cpu", ["wall"], backend="torch")
COUNTED = make_result("sim:gfx942", counts={"instructions": 1.0})
STATIC = make_result("sim:gfx942", isa=[CODE])
JUDGED = make_result()


@pytest.mark.parametrize(
    ("result", "environment", "found"),
    [
        (TIMED, {}, []),
        (TIMED, {"gpus": [H200]}, [("gpu", "GPU", ["slower"])]),
        (TIMED, {"gpus": [H100, replace(H200, index=1)]}, []),
        (TIMED, {"torch": "9"}, [("versions", "torch", ["slower"])]),
        (TIMED, {"triton": "9"}, [("versions", "triton", ["slower"])]),
        (TIMED, {"torch_hip": "9"}, [("versions", "torch_hip", ["slower"])]),
        (TIMED, {"amdgpu_driver": "9"}, [("versions", "amdgpu_driver", ["slower"])]),
        (TIMED, {"libraries": {"aiter": "9"}}, []),
        (make_result(timers=["graph"], backend="aiter"), {"libraries": {"aiter": "9"}},
         [("versions", "aiter", ["slower"])]),
        (TIMED, {"cpu_model": "other", "python": "3.99", "cpu_count": 999}, []),
        (BY_WALL, {"cpu_model": "other", "cpu_count": 999}, [("host", "cpu_model", ["slower"])]),
        (ON_CPU, {"cpu_count": 999, "gpus": [H200], "triton": "9"},
         [("host", "cpu_count", ["slower"])]),
        (COUNTED, {"gpus": [H200], "torch": "9", "cpu_model": "other"}, []),
        (COUNTED, {"triton": "9"}, [("versions", "triton", ["counts"])]),
        (STATIC, {"triton": "9"}, [("versions", "triton", ["resources"])]),
        (JUDGED, {"gpus": [H200], "torch": "9", "triton": "9"}, []),
        (TIMED, {"rocmoe": "99"}, []),
    ],
)  # fmt: skip
def test_what_an_environment_may_differ_in(result, environment, found):
    assert tell(compare(result, environment=environment)) == found


@pytest.mark.parametrize(
    ("result", "name", "reach"),
    [
        (TIMED, "AMD_SERIALIZE_KERNEL", ["slower"]),
        (TIMED, "OMP_NUM_THREADS", []),
        (ON_CPU, "OMP_NUM_THREADS", ["slower"]),
        (TIMED, "TRITON_CACHE_DIR", []),
        (TIMED, "HIP_VISIBLE_DEVICES", []),
        (COUNTED, "AMD_SERIALIZE_KERNEL", []),
        (COUNTED, "TRITON_DEFAULT_FP_FUSION", ["counts"]),
        (STATIC, "AMDGCN_USE_BUFFER_OPS", ["resources"]),
        (JUDGED, "AMDGCN_USE_BUFFER_OPS", []),
    ],
)
def test_variables_that_change_how_kernels_are_made_or_run(result, name, reach):
    found = compare(result, environment={"variables": {name: "1"}}, of_base={"variables": {}})
    assert tell(found) == ([("variables", name, reach)] if reach else [])


@pytest.mark.parametrize(
    ("result", "request_", "found"),
    [
        (TIMED, {"effort": "rigorous"}, [("request", "effort", ["slower"])]),
        (COUNTED, {"effort": "rigorous"}, []),
        (TIMED, {"command": "compare"}, [("request", "command", ["slower"])]),
        (JUDGED, {"command": "validate"}, []),
        (JUDGED, {"strict": True}, [("request", "strictly judged", ["correctness"])]),
        (TIMED, {"cases": ["other"], "backends": ["torch"]}, []),
    ],
)
def test_what_a_request_may_differ_in(result, request_, found):
    assert tell(compare(result, request=request_)) == found


@pytest.mark.parametrize(("mhz", "apart"), [(1740.0, False), (1600.0, True), (1790.0, True)])
def test_clocks_may_differ_as_much_as_those_of_one_machine_do(mhz, apart):
    found = compare(TIMED, make_result(timers=["graph"], mhz=mhz))
    assert tell(found) == ([("clocks", "median clock", ["slower"])] if apart else [])
    if apart:
        assert (found[0].base, found[0].new) == ("1700 MHz", f"{mhz:.0f} MHz")


def test_clocks_that_were_not_read_are_no_difference():
    unread = replace(TIMED, measurements=[replace(TIMED.measurements[0], clocks={})])
    assert compare(TIMED, unread) == []


def test_times_that_cannot_be_compared_anyway_depend_on_nothing():
    (only,) = TIMED.measurements
    refused = replace(TIMED, measurements=[replace(only, status="refused", samples_us=[])])
    for other in (BY_WALL, refused, JUDGED):
        assert compare(TIMED, other, environment={"gpus": [H200], "torch": "9"}) == []


def test_the_gpu_is_the_one_that_a_result_ran_on():
    second = replace(TIMED, device="gpu:1")
    both = {"gpus": [H100, replace(H200, index=1)]}
    assert tell(compare(TIMED, second, environment=both)) == [("gpu", "GPU", ["slower"])]
    same = {"gpus": [H200, replace(H100, index=1)]}
    assert compare(TIMED, second, environment=same) == []


def test_a_line_says_what_both_are_and_which_word_allows_it():
    (refused,) = compare(TIMED, environment={"gpus": [H200]})
    assert refused.tell() == (
        "GPU: base NVIDIA H100 80GB HBM3 (sm_90), new NVIDIA H200 (sm_90): "
        "--allow gpu compares slower"
    )
    (allowed,) = compare(TIMED, environment={"gpus": [H200]}, allowed=["gpu", "clocks"])
    assert allowed.allowed
    assert allowed.tell().endswith(": allowed")
    (unknown,) = compare(TIMED, environment={"triton": None})
    assert unknown.tell().endswith("new not recorded: --allow versions compares slower")


def test_a_kind_that_there_is_none_of():
    with pytest.raises(RocmoeError, match="'version'; nearest: versions"):
        check_kinds(["gpu", "version"])
    assert check_kinds(KINDS) == set(KINDS)
