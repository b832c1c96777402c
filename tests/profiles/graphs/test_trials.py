"""Every way a graph is used, on a machine of pretence: right kernels, and known bad ones."""

import pytest
import torch

from rocmoe.ops.chain_speculative_sampling import run_torch as verify
from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.spec import load_op
from rocmoe.ops.moe_sorting import run_torch as sort
from rocmoe.ops.topk_softmax import run_torch as choose
from rocmoe.profiles.graphs.examination import examine_in_graph
from rocmoe.profiles.graphs.record import (
    BRIEF,
    CAPTURE,
    COUNTS,
    INPUTS,
    LARGE,
    MANY,
    MATRIX,
    POOL,
    PRESSURE,
    SIDE,
    UNCHANGED,
    GraphTask,
)

GATING = "topk_softmax:T=6,E=16,k=3:fp32:renormalize=true:normal:contiguous"
SORTING = (
    "moe_sorting:T=9,E=8,k=2,U=4,D=4:fp32:expert_mask=half,num_local_tokens=half:uniform:contiguous"
)
PER_ROW = "top_k_renorm_probs:B=14,V=60:fp32:top_k=per_row:normal:contiguous"
ALIGNING = "moe_align_block_size:T=9,E=8,k=2,B=4:fp32:-:uniform:contiguous"
CHAIN = (
    "chain_speculative_sampling:B=6,N=3,V=40:fp32:threshold_single=1.0,threshold_acc=1.0:normal:"
    "contiguous"
)
TREE = (
    "tree_speculative_sampling_target_only:B=2,N=4,V=20:fp32:threshold_single=1.0,"
    "threshold_acc=1.0,deterministic=true:normal:contiguous"
)
VERIFY = (
    "dflash_verify:B=2,N=3,V=40:fp32:temperature=0.8,top_k=20,top_p=0.9,threshold_single=1.0,"
    "threshold_acc=1.0:served:contiguous"
)


def try_graphs(case_id, function, machine, trials=MATRIX, dot=None, strict=False):
    case = parse_case(case_id)
    spec = load_op(case.op)
    implementation = Implementation(spec.name, "user", function or spec.run_torch)
    task = GraphTask([*trials], True, 16, dot)
    examined, record = examine_in_graph(
        spec, case, implementation, Device("cpu"), strict=strict, task=task, machine=machine
    )
    assert examined.verdict.ok, "what is tried in graphs is right when it is called"
    return record


def find(record, name):
    return next(trial for trial in record.trials if trial.name == name)


def list_tried(record):
    return {trial.name: trial.ok for trial in record.trials}


@pytest.mark.parametrize("case", [GATING, ALIGNING, CHAIN, TREE])
def test_what_the_device_computes_alone_is_safe_in_every_way(case, machine):
    record = try_graphs(case, None, machine)
    assert (record.verdict, record.reason, record.refusal) == ("safe", None, None)
    assert list_tried(record) == {name: None if name == COUNTS else True for name in MATRIX}
    assert find(record, COUNTS).detail == "the op takes no count as a tensor"
    assert record.nodes["kernel"] > 3
    assert machine.pressed == 6
    assert (machine.captures, machine.shared) == (5, 1)


@pytest.mark.parametrize(
    ("case", "changed"),
    [
        (SORTING, ["expert_mask [0", "num_local_tokens 4 -> 9 (all)", "(all_but_one)"]),
        (PER_ROW, ["top_k ["]),
    ],
)
def test_counts_in_tensors_are_changed(case, changed, machine):
    record = try_graphs(case, None, machine)
    assert record.verdict == "safe"
    assert all(list_tried(record).values())
    for words in changed:
        assert words in find(record, COUNTS).detail


def test_a_count_that_is_a_number_is_not_tried_and_no_evidence_against_it(machine):
    record = try_graphs(PER_ROW.replace("per_row", "7"), None, machine, [*BRIEF, COUNTS])
    assert record.verdict == "safe"
    trial = find(record, COUNTS)
    assert (trial.ok, trial.detail) == (None, "this case has no count in a tensor: top_k=7")


def test_the_large_graph_has_two_hundred_nodes_and_the_dot_file_is_written(machine, tmp_path):
    record = try_graphs(GATING, None, machine, [CAPTURE, LARGE], dot=str(tmp_path / "graph.dot"))
    calls, nodes = (int(w) for w in find(record, LARGE).detail.split() if w.isdecimal())
    assert nodes >= 200 > (calls - 2) * sum(record.nodes.values())
    assert (tmp_path / "graph.dot").read_text().startswith("digraph")
    assert record.dot == str(tmp_path / "graph.dot")


def test_nodes_that_cannot_be_read_are_told_and_a_call_is_taken_for_one(machine):
    machine.unread = "torch 2.7 keeps no graph to look at"
    record = try_graphs(GATING, None, machine, [*BRIEF, LARGE])
    assert (record.verdict, record.nodes, record.unread) == ("safe", None, machine.unread)
    assert find(record, LARGE).detail == "200 calls, at least a node each"


def read_count(**inputs):
    """The mistake that FlyDSL's sort makes upstream: rows behind the count are dropped on the
    host."""
    local = int(inputs["num_local_tokens"].item())
    behind = torch.arange(len(inputs["topk_ids"])) >= local
    ids = inputs["topk_ids"].masked_fill(behind[:, None], -1)
    return sort(**{**inputs, "topk_ids": ids, "num_local_tokens": torch.full((1,), local)})


def test_a_read_on_the_host_is_refused_with_its_line(machine):
    record = try_graphs(SORTING, read_count, machine)
    line = read_count.__code__.co_firstlineno + 3
    assert record.verdict == "refused"
    assert record.refusal.line == f"test_trials.py:{line}"
    assert 'inputs["num_local_tokens"].item()' in record.refusal.call
    assert "not permitted when stream is capturing" in record.refusal.error
    assert "reads on the host" in record.reason
    assert {*list_tried(record).values()} == {False, None}
    assert "suspect" in find(record, UNCHANGED).detail


def test_where_reads_on_the_host_go_through_the_count_is_stale(permissive_machine):
    record = try_graphs(SORTING, read_count, permissive_machine)
    assert record.verdict == "stale"
    assert find(record, CAPTURE).ok
    assert find(record, COUNTS).detail == "it goes by what num_local_tokens held at the capture"


def test_the_published_loop_over_drafts_is_refused(machine):
    fallback = load_op("dflash_verify").torch_variants["fallback"]
    record = try_graphs(VERIFY, fallback, machine)
    assert record.verdict == "refused"
    assert record.refusal.line.startswith("dflash.py:")
    assert ".item()" in record.refusal.call


@pytest.mark.parametrize(
    "wait",
    [
        lambda logits: bool((logits > 100).any()),
        lambda logits: logits[logits > 100],
        lambda logits: torch.nonzero(logits > 100),
        lambda logits: logits.sum().tolist(),
        lambda logits: logits.cpu(),
        lambda logits: torch.tensor([1, 2, 3]),
    ],
)
def test_what_waits_for_the_device_is_refused(wait, machine):
    def function(gating_output, topk, renormalize):
        wait(gating_output)
        return choose(gating_output, topk, renormalize)

    assert try_graphs(GATING, function, machine).verdict == "refused"


def test_a_call_to_wait_is_named(machine):
    def function(gating_output, topk, renormalize):
        machine.synchronize()
        return choose(gating_output, topk, renormalize)

    record = try_graphs(GATING, function, machine)
    assert record.refusal.call.endswith("machine.synchronize()")
    assert "waits for the device (" in record.reason


def test_an_answer_that_is_remembered_is_an_empty_graph(machine):
    kept = {}

    def remember(gating_output, topk, renormalize):
        key = gating_output.data_ptr(), gating_output._version
        if key not in kept:
            kept[key] = choose(gating_output, topk, renormalize)
        return kept[key]

    record = try_graphs(GATING, remember, machine)
    assert record.verdict == "refused"
    assert "puts no work on the device" in record.reason


def test_a_value_baked_at_the_capture_is_stale(machine):
    """Read once for each address, ahead of the capture, so that nothing refuses it."""
    largest = {}

    def function(gating_output, topk, renormalize):
        key = gating_output.data_ptr()
        if not machine.capturing:
            largest[key] = choose(gating_output, topk, renormalize)[1]
        ids = largest[key] + 0
        probabilities = torch.softmax(gating_output, dim=-1).gather(1, ids.long())
        return probabilities / probabilities.sum(dim=-1, keepdim=True), ids

    record = try_graphs(GATING, function, machine)
    assert record.verdict == "stale"
    assert find(record, UNCHANGED).ok
    assert find(record, INPUTS).detail == "topk_ids is still that of the capture's inputs"


def test_a_branch_on_data_from_before_the_capture_is_caught(machine):
    """Which of two ways is taken was decided by the inputs of the warm-up."""
    ways = {}

    def function(gating_output, topk, renormalize):
        if not machine.capturing:
            ways[gating_output.data_ptr()] = bool(gating_output[0, 0] > gating_output[0, 1])
        weights, ids = choose(gating_output, topk, renormalize)
        swapped = gating_output[0, 0] > gating_output[0, 1]
        if ways[gating_output.data_ptr()]:
            return torch.where(swapped, weights, 0.0), ids
        return torch.where(swapped, 0.0, weights), ids

    case = next(c for c in (f"{GATING}:seed={n}" for n in range(1, 9)) if changes_order(c))
    record = try_graphs(case, function, machine)
    assert record.verdict == "wrong"
    assert find(record, UNCHANGED).ok
    assert "failed weights" in find(record, INPUTS).detail


def changes_order(case_id):
    from rocmoe.profiles.examination import draw_twice

    case = parse_case(case_id)
    one, two = (d["gating_output"][0, :2] for d in draw_twice(load_op(case.op), case))
    return (one[0] > one[1]) != (two[0] > two[1])


def test_an_output_that_no_node_writes_is_stale(machine):
    def function(gating_output, topk, renormalize, topk_weights, topk_ids):
        weights, ids = choose(gating_output, topk, renormalize)
        topk_weights.copy_(weights)
        if not machine.capturing:
            topk_ids.copy_(ids)

    record = try_graphs(GATING, function, machine)
    assert record.verdict == "stale"
    assert find(record, UNCHANGED).detail.startswith("topk_ids[0, 0] and 17 more of it are not")


def test_an_answer_in_memory_that_no_node_writes_is_stale(machine):
    """It is still right as long as the inputs are: only what was destroyed shows it."""
    kept = {}

    def function(gating_output, topk, renormalize):
        weights, ids = choose(gating_output, topk, renormalize)
        if not machine.capturing:
            kept[gating_output.data_ptr()] = ids
        return weights, kept[gating_output.data_ptr()]

    record = try_graphs(GATING, function, machine)
    assert record.reason.startswith("unchanged: topk_ids[0, 0] and 17 more of it are not written")


def test_a_copy_that_went_over_the_host_gives_the_whole_answer_of_the_capture(permissive_machine):
    def function(gating_output, topk, renormalize):
        return choose(torch.tensor(gating_output.tolist()), topk, renormalize)

    record = try_graphs(GATING, function, permissive_machine)
    assert record.verdict == "stale"
    assert find(record, INPUTS).detail == "it gives the answer to the inputs of the capture"


def test_an_answer_that_is_right_but_unlike_that_of_an_eager_call_is_wrong(machine):
    """A rounding apart, which is asked for the same bits if strict."""

    def function(gating_output, topk, renormalize):
        weights, ids = choose(gating_output, topk, renormalize)
        return weights * (1.0 + 1e-7 * machine.capturing), ids

    assert try_graphs(GATING, function, machine, BRIEF).verdict == "safe"
    record = try_graphs(GATING, function, machine, BRIEF, strict=True)
    assert record.verdict == "wrong"
    assert record.reason == "unchanged: topk_weights is unlike that of an eager call"


def test_what_a_call_may_write_over_is_laid_out_anew_for_each(machine):
    """Scratch that is zero on entry, and not behind a call."""
    spec = load_op("tree_speculative_sampling_target_only")

    def function(draft_probs, target_probs, **inputs):
        used = draft_probs.sum(dim=-1, keepdim=True)
        probs = torch.where(used > 0.0, 0.0, target_probs)
        draft_probs += 1.0
        return spec.run_torch(draft_probs=draft_probs, target_probs=probs, **inputs)

    record = try_graphs(TREE.replace("N=4", "N=2"), function, machine)
    assert record.verdict == "safe"
    assert sum(record.nodes.values()) < 100, "so that several calls of each are in the large graph"


def test_a_pointer_to_memory_that_was_freed_is_wrong_under_pressure_alone(machine):
    """A workspace that grows: the one that the graph points to is let go of."""
    kept = {}

    def function(gating_output, topk, renormalize):
        needed = len(gating_output)
        if kept.get("table") is None or len(kept["table"]) < needed:
            kept["table"] = torch.arange(needed, dtype=torch.int32).float() * 0.0
        weights, ids = choose(gating_output, topk, renormalize)
        return weights + kept["table"][:needed, None], ids

    record = try_graphs(GATING, function, machine)
    assert record.verdict == "wrong"
    assert record.reason.startswith("allocator pressure: failed weights")
    assert list_tried(record) == {
        CAPTURE: True, UNCHANGED: True, INPUTS: True, COUNTS: None, MANY: True, PRESSURE: False,
        SIDE: True, LARGE: True, POOL: True,
    }  # fmt: skip


def test_what_counts_on_fresh_memory_holding_zeros_is_wrong_at_the_second_replay(machine):
    def function(topk_ids, num_experts, block_size):
        room = kept.setdefault("room", torch.zeros(4, dtype=torch.int64))
        if not machine.capturing:
            room.zero_()  # as memory of a new process is
        room += 1
        outputs = run_aligning(topk_ids, num_experts, block_size)
        return (*outputs[:2], outputs[2] * room[:1].int())

    kept, run_aligning = {}, load_op("moe_align_block_size").run_torch
    record = try_graphs(ALIGNING, function, machine)
    assert record.verdict == "wrong"
    assert record.reason.startswith("unchanged: failed")


def test_what_only_the_first_graph_computes_is_caught_in_the_next_one(machine):
    """A table made inside the first capture: no other graph makes it again."""
    kept = {}

    def function(gating_output, topk, renormalize):
        weights, ids = choose(gating_output, topk, renormalize)
        if machine.capturing:
            ids = kept.setdefault("ids", ids)
        return weights, ids + 0

    record = try_graphs(GATING, function, machine)
    assert find(record, PRESSURE).ok
    assert not find(record, SIDE).ok
    assert record.verdict == "wrong"


def test_a_stream_that_is_not_the_callers_is_caught_aside(machine):
    def function(gating_output, topk, renormalize):
        if machine.aside and machine.capturing:
            raise RuntimeError("operation would make the legacy stream depend on a capturing one")
        return choose(gating_output, topk, renormalize)

    record = try_graphs(GATING, function, machine)
    assert record.verdict == "refused"
    assert record.reason.startswith("side stream: raise")
    assert "works on the default stream" in record.reason
    assert [find(record, name).ok for name in (PRESSURE, LARGE, POOL)] == [True, None, None]


def test_two_graphs_that_lean_on_one_workspace_are_wrong_in_one_pool(machine):
    """What the first graph leaves in its memory is what the second one reads."""
    kept = {}

    def function(gating_output, topk, renormalize):
        weights, ids = choose(gating_output, topk, renormalize)
        if machine.capturing and machine.captures >= 3:
            return kept.setdefault("weights", weights) + 0.0, ids
        return weights, ids

    record = try_graphs(GATING, function, machine, [*BRIEF, SIDE, POOL])
    assert find(record, SIDE).ok
    assert not find(record, POOL).ok


def test_a_replay_that_raises_is_wrong_and_ends_the_trials(machine):
    def function(gating_output, topk, renormalize):
        places = kept.setdefault("places", torch.arange(16).flip(0).flip(0))
        weights, ids = choose(gating_output.index_select(1, places), topk, renormalize)
        if not machine.capturing and len(gating_output) > 6:
            del kept["places"]
        return weights, ids

    kept = {}
    record = try_graphs(GATING, function, machine)
    assert record.reason.startswith("allocator pressure: raised RuntimeError: INDICES")
    assert find(record, SIDE).ok is None


def test_where_the_answer_of_the_capture_is_right_for_all_inputs_nothing_is_proven(machine):
    record = try_graphs(GATING.replace(":normal:", ":all_equal:"), None, machine)
    assert record.verdict == "not tried"
    assert "the answer of the capture is right for other inputs too" in record.reason


def test_what_is_out_of_contract_is_not_tried(machine):
    case = "top_p_renorm_probs:B=2,V=8:fp32:top_p=0.9:unnormalised:contiguous"
    record = try_graphs(case, None, machine)
    assert record.verdict == "not tried"
    assert "out of contract" in record.reason


def test_what_is_wrong_when_called_is_not_captured(machine):
    case = parse_case(GATING)
    spec = load_op(case.op)
    examined, record = examine_in_graph(
        spec, case, Implementation(spec.name, "user", twice), Device("cpu"), strict=False,
        task=GraphTask([*MATRIX], True, 8), machine=machine,
    )  # fmt: skip
    assert not examined.verdict.ok
    assert record is None
    assert machine.captures == 0


def twice(gating_output, topk, renormalize):
    weights, ids = choose(gating_output, topk, renormalize)
    return weights * 2, ids


def test_a_further_process_judges_no_eager_call_and_its_answers_are_those_of_the_first(machine):
    case = parse_case(GATING)
    spec = load_op(case.op)
    task = GraphTask([*BRIEF], False, 8)
    examined, record = examine_in_graph(
        spec, case, Implementation(spec.name, "torch", choose), Device("cpu"), strict=False,
        task=task, machine=machine,
    )  # fmt: skip
    assert [check.name for check in examined.verdict.checks] == ["tried"]
    assert record.answers == try_graphs(GATING, None, machine, BRIEF).answers
    assert [*record.answers] == ["topk_ids"], "weights may differ by rounding"
    assert len({*record.answers["topk_ids"]}) == 2


def test_an_op_without_a_canonical_form_has_no_answers_to_compare(machine):
    assert try_graphs(CHAIN, verify, machine, BRIEF).answers == {}
