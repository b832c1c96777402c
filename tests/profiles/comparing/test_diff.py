"""Pairs, changes and gates: harms that must fail, and what must not."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.artifact import Measurement, read_artifact, write_artifact
from rocmoe.profiles.comparing.diff import Gate, Side, make_diff, make_gate, read_side
from rocmoe.profiles.environment import Gpu
from rocmoe.profiles.isa_record import IsaRecord
from rocmoe.profiles.outcome import BAD, Exit

FOLDER = Path(__file__).parents[2] / "artifacts"
RUN = read_artifact(FOLDER / "v4.json")
TIGHT = [[20.0, 20.02, 19.98], [20.01, 20.03, 19.99], [19.99, 20.01, 19.97]] * 2
COUNTS = {
    "waves": 8.0, "instructions": 1000.0, "instructions_valu": 600.0, "load_bytes": 512.0,
    "lds_conflict_cycles": 0.0, "instructions_per_token": 10.0,
}  # fmt: skip
CODE = IsaRecord("k", "gfx942", "3.6.0", 64, 64, 32, 0, 16, 0, 0, 0, 0, 640, 8, 8, [], {})


def make_result(name="one", status="pass", backend="triton", device="gpu:0", **more):
    case = replace(RUN.results[0].case, id=f"topk_softmax:{name}")
    more = {"measurements": None, "reason": None, **more}
    return replace(RUN.results[0], case=case, status=status, backend=backend, device=device, **more)


def timed(*samples_us, timer="graph", status="ok", **more):
    taken = [Measurement(timer, "warm", status, groups, [1] * len(groups)) for groups in samples_us]
    return make_result(measurements=taken, **more)


def counted(**changed):
    return make_result(device="sim:gfx942", counts={**COUNTS, **changed})


def coded(*changes):
    return make_result(device="sim:gfx942", isa=[replace(CODE, **each) for each in changes])


def scale(groups, factor):
    return [[us * factor for us in group] for group in groups]


def make_side(*results, name="run.json", **more):
    artifact = replace(RUN, results=[*results], **more)
    return Side(name, Path(name), artifact, [*results])


def compare(base, new, gate=Gate()):  # noqa: B008 - frozen
    return make_diff(make_side(*base), make_side(*new), gate)


def tell(diff):
    return [(each.dimension, each.verdict, each.regression) for each in diff.changes]


@pytest.mark.parametrize(
    ("before", "after", "verdict", "code"),
    [
        ("pass", "pass", "SAME", 0),
        ("pass", "fail", "BROKEN", 1),
        ("pass", "crash", "BROKEN", 1),
        ("pass", "refused", "GONE", 1),
        ("pass", "unavailable", "GONE", 1),
        ("pass", None, "GONE", 1),
        ("fail", "pass", "FIXED", 0),
        ("fail", "timeout", "FAILING", 0),
        ("fail", None, "GONE", 4),
        ("refused", "pass", "NEW", 4),
        ("refused", "error", "BROKEN", 1),
        ("refused", "unavailable", None, 4),
        (None, "pass", "NEW", 4),
        (None, "fail", "BROKEN", 1),
    ],
)
def test_what_becomes_of_a_status(before, after, verdict, code):
    base = [make_result(status=before)] if before else []
    diff = compare(base, [make_result(status=after, reason="why")] if after else [])
    assert [(each.verdict, each.base, each.new) for each in diff.changes] == (
        [(verdict, before, after)] if verdict else []
    )
    assert diff.exit == code
    assert all(each.note == ("why" if after else "") for each in diff.changes)


@pytest.mark.parametrize("after", [None, "refused", "unavailable"])
def test_what_passed_may_be_gone_where_that_is_allowed(after):
    new = [make_result("two"), *([make_result(status=after)] if after else [])]
    diff = compare([make_result(), make_result("two")], new, Gate(allow_missing=True))
    assert ("correctness", "GONE", False) in tell(diff)
    assert diff.exit == 0


def test_a_result_that_is_elsewhere_now_says_so():
    diff = compare([make_result()], [make_result(device="cpu")])
    assert [each.verdict for each in diff.changes] == ["GONE", "NEW"]
    assert diff.changes[0].note == "new has it on cpu (pass)"


def test_any_gpu_is_the_same_device_and_any_simulator_another():
    assert compare([make_result()], [make_result(device="gpu:3")]).exit == 0
    simulated = make_result(device="sim:gfx942"), make_result(device="sim:gfx950")
    assert compare(simulated, simulated).exit == 0
    assert compare(simulated[:1], simulated[1:]).exit == 1


def test_backends_and_variants_are_not_mixed_up():
    both = [make_result(variant="list"), make_result(variant="heap"), make_result(backend="torch")]
    broken = [both[0], replace(both[1], status="fail"), both[2]]
    (change,) = [each for each in compare(both, broken[::-1]).changes if each.verdict == "BROKEN"]
    assert change.backend == "triton:heap"
    with pytest.raises(RocmoeError, match="has topk_softmax:one@torch twice on gpu"):
        compare(both, [*both, make_result(backend="torch", device="gpu:1")])


def test_three_percent_more_time_fails_and_less_does_not():
    fast, slow = timed(TIGHT), timed(scale(TIGHT, 1.03))
    slower, faster = compare([fast], [slow]), compare([slow], [fast])
    assert tell(slower) == [("correctness", "SAME", False), ("slower", "SLOWER", True)]
    change = slower.changes[1]
    assert (change.what, change.base, change.new) == ("graph warm", 20.0, pytest.approx(20.6))
    assert change.ratio == pytest.approx(1.03)
    assert change.low < change.ratio < change.high
    assert (slower.exit, faster.exit) == (3, 0)
    assert faster.changes[1].verdict == "FASTER"


def test_what_is_unverified_is_compared_and_marked():
    diff = compare([timed(TIGHT)], [timed(scale(TIGHT, 1.2), status="unverified")])
    assert (diff.changes[1].verdict, diff.changes[1].note) == ("SLOWER", "unverified")


@pytest.mark.parametrize("status", ["throttled", "invalid", "refused"])
def test_times_that_do_not_count_are_not_compared_and_leave_it_open(status):
    diff = compare([timed(TIGHT)], [timed(scale(TIGHT, 2.0), status=status)])
    assert tell(diff) == [("correctness", "SAME", False)]
    assert diff.gaps == [f"triton, graph warm: {status} in new (1 case(s))"]
    assert diff.inconclusive == ["slower: nothing of it can be compared"]
    assert diff.exit == 4


def test_a_wrong_answer_has_no_time():
    diff = compare([timed(TIGHT)], [timed(scale(TIGHT, 2.0), status="ok")])
    assert diff.exit == 3
    wrong = replace(timed(scale(TIGHT, 2.0)), status="fail")
    assert tell(compare([timed(TIGHT)], [wrong])) == [("correctness", "BROKEN", True)]


@pytest.mark.parametrize(
    ("changed", "verdict", "what"),
    [
        ({"instructions": 1010.0}, "WORSE", "instructions"),
        ({"instructions": 1004.0}, "SAME", "instructions"),
        ({"instructions": 900.0}, "BETTER", "instructions"),
        ({"instructions": 900.0, "load_bytes": 520.0}, "WORSE", "load_bytes"),
        ({"lds_conflict_cycles": 4.0}, "WORSE", "lds_conflict_cycles"),
        ({"scalar_store_bytes": 4.0}, "WORSE", "scalar_store_bytes"),
        ({"instructions_valu": 700.0, "waves": 16.0}, "SAME", "instructions"),
        ({"instructions_per_token": 20.0}, "SAME", "instructions"),
    ],
)
def test_counts_are_exact(changed, verdict, what):
    diff = compare([counted()], [counted(**changed)])
    change = diff.changes[1]
    assert (change.dimension, change.verdict) == ("counts", verdict)
    assert what in (change.what, verdict == "SAME" and what)
    assert diff.exit == (3 if verdict == "WORSE" else 0)
    assert "instructions_per_token" not in change.others


def test_counts_may_grow_as_far_as_is_tolerated():
    more = counted(instructions=1010.0, instructions_valu=610.0)
    diff = compare([counted()], [more], Gate(count_tolerance=0.02))
    assert (diff.changes[1].verdict, diff.exit) == ("SAME", 0)
    strict = compare([counted()], [counted(instructions=1001.0)], Gate(count_tolerance=0.0))
    assert strict.exit == 3
    told = compare([counted()], [more]).changes[1]
    assert told.others == {"instructions_valu": [600.0, 610.0]}
    assert told.note == "instructions_valu 600 -> 610"


@pytest.mark.parametrize(
    ("changed", "verdict", "what"),
    [
        ({"vgpr": 33}, "WORSE", "k vgpr"),
        ({"sgpr_spills": 2}, "WORSE", "k spills"),
        ({"scratch_bytes": 64}, "WORSE", "k scratch_bytes"),
        ({"lds_bytes": 64}, "WORSE", "k lds_bytes"),
        ({"occupancy": 4}, "WORSE", "k occupancy"),
        ({"vgpr": 16}, "BETTER", "k vgpr"),
        ({"occupancy": 10}, "BETTER", "k occupancy"),
        ({"code_bytes": 4096}, "SAME", ""),
        ({"vgpr_spills": None}, "SAME", ""),
    ],
)
def test_resources_fail_where_that_is_asked_for(changed, verdict, what):
    base, new = [coded({})], [coded(changed)]
    asked = compare(base, new, make_gate("resources", None, False, 0.5))
    change = asked.changes[1]
    assert (change.dimension, change.verdict) == ("resources", verdict)
    assert not what or change.what == what
    assert asked.exit == (3 if verdict == "WORSE" else 0)
    assert compare(base, new).exit == 0


def test_kernels_pair_by_name_and_order_and_others_are_told():
    base = coded({"vgpr": 8}, {"vgpr": 16}, {"kernel": "old"})
    new = coded({"vgpr": 8}, {"vgpr": 24}, {"kernel": "fresh"})
    diff = compare([base], [new])
    assert [(each.base, each.new) for each in diff.changes[1:]] == [(8.0, 8.0), (16.0, 24.0)]
    assert diff.gaps == [
        "triton: kernel old is only in base (1 case(s))",
        "triton: kernel fresh is only in new (1 case(s))",
    ]


HARMED = {
    "correctness": ([make_result("two")], [make_result("two", "fail")]),
    "slower": ([timed(TIGHT)], [timed(scale(TIGHT, 1.2))]),
    "counts": ([counted()], [counted(instructions=1100.0)]),
    "resources": ([coded({})], [coded({"vgpr": 64})]),
}


@pytest.mark.parametrize("dimension", HARMED)
@pytest.mark.parametrize("asked", [None, *HARMED])
def test_only_what_is_asked_for_fails(dimension, asked):
    base, new = HARMED[dimension]
    if asked == dimension or (asked is None and dimension != "resources"):
        code = 1 if dimension == "correctness" else 3
    else:
        code = 0 if asked in (None, "correctness") else 4  # there is nothing of it
    assert compare(base, new, make_gate(asked, None, False, 0.5)).exit == code


def test_a_wrong_answer_comes_before_a_slow_one_and_that_before_an_open_one():
    base = [*HARMED["slower"][0], *HARMED["correctness"][0]]
    new = [*HARMED["slower"][1], *HARMED["correctness"][1]]
    assert compare(base, new).exit == 1
    assert compare(base, new, make_gate("slower,ambiguous", None, False, 0.5)).exit == 3
    assert compare(base, new, make_gate("slower,resources", None, False, 0.5)).exit == 3


def test_what_is_ambiguous_fails_where_that_is_asked_for():
    wide = [[us, us] for us in (18.0, 19.0, 20.0, 21.0, 22.0)]
    base, new = [timed(wide)], [timed(scale(wide, 1.03))]
    assert tell(compare(base, new))[1] == ("slower", "AMBIGUOUS", False)
    assert compare(base, new).exit == 0
    gate = make_gate("correctness,ambiguous", None, False, 0.5)
    diff = compare(base, new, gate)
    assert (diff.exit, diff.inconclusive) == (4, ["1 time(s) are ambiguous"])
    assert compare([make_result()], [make_result()], gate).exit == 4, "there is no time"


def test_nothing_to_compare_is_no_success():
    for side in ([], [make_result(status="refused")]):
        diff = compare(side, side)
        assert (diff.exit, diff.inconclusive) == (4, ["nothing that ran is in both"])
    timeless = compare([timed(TIGHT)], [make_result()])
    assert (timeless.exit, timeless.inconclusive) == (4, ["slower: nothing of it can be compared"])


def test_another_gpu_is_refused_until_it_is_allowed():
    base, new = make_side(timed(TIGHT)), make_side(timed(scale(TIGHT, 1.2)))
    gpu = Gpu(0, "another", "gfx942", 1)
    environment = replace(new.artifact.environment, gpus=[gpu])
    new = replace_artifact(new, environment=environment)
    refused = make_diff(base, new, Gate())
    assert tell(refused) == [("correctness", "SAME", False)], "still compared"
    assert refused.inconclusive == ["slower is not compared, by a difference in GPU"]
    assert refused.exit == 4
    allowed = make_diff(base, new, make_gate(None, "gpu", False, 0.5))
    assert tell(allowed)[1] == ("slower", "SLOWER", True)
    assert allowed.exit == 3
    assert [each.allowed for each in allowed.differences] == [True]
    assert make_diff(base, new, make_gate("correctness", None, False, 0.5)).exit == 0


def replace_artifact(side, **more):
    return Side(side.name, side.file, replace(side.artifact, **more), side.results)


def test_a_run_that_was_interrupted_is_told():
    side = make_side(make_result())
    diff = make_diff(side, replace_artifact(side, complete=False), Gate())
    assert diff.gaps == ["new, run.json, was interrupted; its results after that are missing"]


@pytest.fixture
def files(tmp_path):
    base = [make_result("one"), make_result("two"), make_result("one", backend="torch")]
    new = [make_result("one", "fail"), make_result("two", "fail"), base[2]]
    for name, results in (("base", base), ("new", new), ("empty", [])):
        write_artifact(replace(RUN, results=results), tmp_path / f"{name}.json")
    return tmp_path


@pytest.mark.parametrize(
    ("base", "new", "found"),
    [
        ("base.json", "new.json", ["BROKEN", "BROKEN", "SAME"]),
        ("base.json#topk_softmax:one", "new.json", ["BROKEN", "SAME"]),
        ("base.json", "new.json#topk_softmax:one", ["BROKEN", "SAME"]),
        ("base.json#topk_softmax:one@torch", "new.json", ["SAME"]),
        ("base.json#topk_softmax:one", "new.json#topk_softmax:one@torch", ["SAME"]),
        ("base.json#topk_softmax:one@torch", "new.json#topk_softmax:one@triton", ["BROKEN"]),
        ("base.json#topk_softmax:one@torch", "empty.json", ["GONE"]),
    ],
)
def test_results_can_be_addressed(files, monkeypatch, base, new, found):
    monkeypatch.chdir(files)
    diff = make_diff(read_side(base), read_side(new), Gate())
    assert [each.verdict for each in diff.changes] == found
    assert (diff.base, diff.new) == (base, new)


def test_two_backends_are_compared_where_both_are_addressed(files, monkeypatch):
    monkeypatch.chdir(files)
    sides = [read_side(f"{name}.json#topk_softmax:one@{backend}")
             for name, backend in (("base", "torch"), ("new", "triton"))]  # fmt: skip
    assert [each.backend for each in make_diff(*sides, Gate()).changes] == ["torch -> triton"]
    sides[0] = read_side("base.json#topk_softmax:two@triton")
    with pytest.raises(RocmoeError, match="two and topk_softmax:one are not the same case"):
        make_diff(*sides, Gate())


def test_a_file_may_have_the_mark_of_an_address_in_its_name(files):
    odd = files / "a#b.json"
    odd.write_bytes((files / "base.json").read_bytes())
    assert len(read_side(str(odd)).results) == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("base.json#topk_softmax:one@trton", "nearest: topk_softmax:one@triton"),
        ("base.json#?", r"has no result '\?'; it has 3 result\(s\)"),
        ("missing.json", "cannot be read"),
    ],
)
def test_an_address_of_nothing(files, monkeypatch, text, told):
    monkeypatch.chdir(files)
    with pytest.raises(RocmoeError, match=told):
        read_side(text)


def test_words_that_there_are_none_of():
    with pytest.raises(RocmoeError, match="--fail-on 'slow'; nearest: slower"):
        make_gate("correctness,slow", None, False, 0.5)
    with pytest.raises(RocmoeError, match="nearest: gpu"):
        make_gate(None, "gpus", False, 0.5)
    assert make_gate("slower, counts", "gpu,host", True, 2.0) == Gate(
        ("slower", "counts"), True, frozenset({"gpu", "host"}), True, 0.02
    )
    assert make_gate(None, None, False, 0.5) == Gate()


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_every_version_of_an_artifact_is_the_same_as_itself(version):
    side = read_side(str(FOLDER / f"v{version}.json"))
    diff = make_diff(side, side, Gate())
    assert diff.exit == Exit.PASSED
    assert {each.verdict for each in diff.changes} == {"SAME", "FAILING"}


SAMPLES = st.lists(
    st.lists(st.floats(0.5, 100.0), min_size=1, max_size=4), min_size=1, max_size=3
)  # fmt: skip
NAMES = st.sampled_from(["one", "two", "three"])
PASSED = st.builds(
    make_result,
    NAMES,
    backend=st.sampled_from(["torch", "triton"]),
    device=st.sampled_from(["cpu", "gpu:0", "sim:gfx942"]),
    measurements=st.none() | st.lists(
        st.builds(Measurement, st.just("graph"), st.just("warm"), st.just("ok"), SAMPLES,
                  st.just([1])), max_size=1
    ),
    counts=st.none() | st.dictionaries(
        st.sampled_from(["instructions", "load_bytes", "waves"]), st.floats(0.0, 1e6), max_size=3
    ),
    isa=st.none() | st.lists(st.integers(0, 512).map(lambda n: replace(CODE, vgpr=n)), max_size=3),
)  # fmt: skip
OTHERS = st.builds(make_result, NAMES, st.sampled_from([*BAD, "refused", "unavailable"]))


def find_place(result):
    return result.case.id, result.backend, result.device


@settings(max_examples=50, deadline=None)
@given(st.lists(PASSED | OTHERS, max_size=5, unique_by=find_place))
def test_an_artifact_and_itself_differ_in_nothing(results):
    side = make_side(make_result("always"), *results)
    diff = make_diff(side, side, Gate(("correctness", "slower", "counts", "resources")))
    assert {each.verdict for each in diff.changes} <= {"SAME", "FAILING"}
    assert not any(each.regression for each in diff.changes)
    costs = [each.counts for each in results if each.counts]
    assert diff.exit == 0 or all(counts.keys() == {"waves"} for counts in costs)
