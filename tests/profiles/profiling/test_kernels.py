"""Names of kernels, and what all launches of one amount to."""

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.hardware import load_hardware
from rocmoe.profiles.profiling.kernels import find_kernels, list_kernels, short_name
from rocmoe.profiles.profiling.trace import Agent, CounterValue, Dispatch, Trace


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("void vllm::moe::topkGating<4, 128, float>(float const*, bool const*, int)",
         "vllm::moe::topkGating"),
        ("divide_kernel(float*, float const*, int)", "divide_kernel"),
        ("_topk_softmax_kernel", "_topk_softmax_kernel"),
        ("addition_kernel", "addition_kernel"),
        ("void addition_kernel<float>(float*) [clone .kd]", "addition_kernel"),
        ("void (anonymous namespace)::fill<int>(int*)", "(anonymous namespace)::fill"),
        ("void at::native::elementwise<4, std::array<char*, (4>3)> >(int, at::Op)",
         "at::native::elementwise"),
        ("std::enable_if<true, void>::type ck::kernel_gemm<ck::Sequence<1, 2>>(ck::Arg)",
         "ck::kernel_gemm"),
        ("decltype(auto) run<int>(int)", "run"),
        ("unsigned int* count(int)", "count"),
        ("unsigned int *count(int)", "count"),
        ("Matrix::operator()(int) const", "Matrix::operator()"),
        ("bool operator< <int>(Pair<int>, Pair<int>)", "operator<"),
        ("void my_operator<2>(int)", "my_operator"),
        ("_Z4topkIfEvPKf.kd", "topk"),
        ("_ZN4vllm3moe10topkGatingILi4EfEEvPKT0_.kd", "vllm::moe::topkGating"),
        ("_ZN12_GLOBAL__N_14fillEPi", "(anonymous namespace)::fill"),
        ("_ZTV", "_ZTV"),
    ],
)  # fmt: skip
def test_short_names(name, short):
    assert short_name(name) == short


def launch(number, kernel="void topk<float>(float*)", counted=False, process="1", **more):
    fields = {"start_ns": 0, "end_ns": 10 * number, "grid": (128, 2, 1), "workgroup": (64, 1, 1)}
    return Dispatch(
        process=process, kernel=kernel, agent="Agent 4", dispatch_id=number, counted=counted,
        **{**fields, **more},
    )  # fmt: skip


def test_kernels_are_found_by_parts_of_names_and_by_regex():
    launches = [
        launch(1),
        launch(2, "void sort<4>(int*)", symbol="_Z4sortILi4EEvPi.kd"),
        launch(3, "sorted"),
    ]
    for pattern, numbers in {
        "topk<float>(": [1], "sort": [2, 3], "^sort$": [2], "ILi4E": [2], "topk|sorted": [1, 3],
    }.items():  # fmt: skip
        assert [each.dispatch_id for each in find_kernels(launches, pattern)] == numbers
    with pytest.raises(RocmoeError, match=r"unknown kernel 'topkk'; nearest: topk"):
        find_kernels(launches, "topkk")
    with pytest.raises(RocmoeError, match=r"neither a part of a name nor a regular expression"):
        find_kernels(launches, "(x")


def value(number, counter, amount, process="1"):
    return CounterValue(
        process=process, dispatch_id=number, kernel="topk", counter=counter, value=amount
    )


def test_launches_of_a_kernel_with_one_size_are_together():
    trace = Trace(
        tool="rocprofv3", form="CSV",
        dispatches=(
            launch(1, lds_bytes=512, vgprs=8),
            launch(2, lds_bytes=512, vgprs=12),
            launch(9, lds_bytes=None),
            launch(1, counted=True, process="2", grid=(256,), workgroup=(64,), end_ns=70),
            launch(2, counted=True, process="2", grid=(256,), workgroup=(64,), end_ns=90),
            launch(3, grid=(64, 1, 1), end_ns=None),
        ),
        counters=(
            value(1, "SQ_WAVES", 4.0, "2"), value(2, "SQ_WAVES", 6.0, "2"),
            value(2, "TCC_HIT_sum", 7.0, "2"), value(7, "SQ_WAVES", 999.0, "2"),
        ),
        agents=(Agent(process="1", type="GPU", name="gfx942", index=4, cu_count=304, xcc_count=8),),
    )  # fmt: skip
    large, small = list_kernels(trace)
    assert (large.short, large.work_items, large.lanes, len(large.launches)) == ("topk", 256, 64, 5)
    assert (large.durations_ns, large.counted_ns) == ((10, 20, 90), (70, 90))
    assert large.counts == {"SQ_WAVES": 5.0, "TCC_HIT_sum": 7.0}
    assert (large.lds_bytes, large.vgprs) == (512, None)  # launches differ in the latter
    assert (small.work_items, small.median_ns, small.counts) == (64, None, {})
    assert large.find_parameters() == {
        "CU_NUM": 304.0, "XCC_NUM": 8.0, "DURATION_NS": 20.0, "COUNTED_NS": 80.0,
    }  # fmt: skip
    assert list_kernels(trace, find_kernels(trace.dispatches[-1:], "topk")) == [small]


def test_hardware_tells_what_no_agent_does():
    trace = Trace(tool="t", form="f", dispatches=(launch(1),))
    (kernel,) = list_kernels(trace)
    assert kernel.find_parameters() == {"DURATION_NS": 10.0}
    found = kernel.find_parameters(load_hardware("mi300x"))
    assert (found["CU_NUM"], found["XCC_NUM"]) == (304.0, 8.0)
