import pytest

pytest.importorskip("triton", reason="triton is not installed")
import torch

from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import Device, parse_device
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.launch import recording, simulating
from rocmoe.ops.core.simulator import CHECKS, Simulator, Watch
from rocmoe.ops.core.spec import load_op
from rocmoe.ops.gcn.assembly import read_metadata
from rocmoe.ops.kernels.tree_speculative_sampling_target_only import (
    tree_speculative_sampling_target_only,
)
from rocmoe.profiles.examination import examine

OP = "tree_speculative_sampling_target_only"
SPEC = load_op(OP)
TRITON = Implementation(OP, "triton", tree_speculative_sampling_target_only)
WORDS = OP + ":B={},N={},V={}:fp32:threshold_single={},threshold_acc={},deterministic={}:{}:{}"

#: Tokens that take two launches, and do not fill the last slice.
SLICED = 20001


@pytest.mark.parametrize(
    "row",
    [
        (0, 4, 128, 1.0, 1.0, "true", "normal", "contiguous"),
        (3, 1, 5, 1.0, 1.0, "true", "normal", "contiguous"),
        (16, 8, 111, 0.7, 0.8, "true", "cdf_edges", "strided"),
        (16, 7, 100, 1.0, 1.0, "false", "zero_rows", "offset"),
        (9, 9, 20, 0.9, 0.9, "true", "repeated_siblings", "contiguous"),
        (4, 70, 128, 0.5, 0.8, "true", "scattered_index", "contiguous"),
        (2, 6, SLICED, 1.0, 1.0, "true", "scattered_index", "strided"),
        (4, 5, SLICED, 1.0, 1.0, "true", "zero_rows", "offset"),
    ],
)
def test_passes_the_judge_strictly_in_the_simulator(row):
    case = SPEC.check_case(parse_case(WORDS.format(*row)))
    verdict = examine(SPEC, case, TRITON, parse_device("sim:gfx942"), strict=True).verdict
    assert verdict.ok, (verdict.failed, verdict.findings[:3])


def simulate(links, coins, last, vocabulary, probability=0.125):
    """Outputs and launches for one tree over equally probable tokens, node n has token n."""
    next_token, next_sibling = torch.tensor(links)[:, None]
    nodes = next_token.shape[1]
    target_probs = torch.zeros(1, nodes, vocabulary)
    target_probs[:, :, :8] = probability
    draft_probs = torch.zeros_like(target_probs)
    simulator = Simulator("gfx942", Watch(CHECKS))
    with simulating(simulator):
        outputs = tree_speculative_sampling_target_only(
            torch.arange(nodes)[None], torch.arange(nodes)[None], next_token, next_sibling,
            torch.tensor([coins]), torch.tensor([last]), target_probs, draft_probs, 1.0, 1.0, True,
        )  # fmt: skip
    launches = simulator.take()
    assert not [fault for launch in launches for fault in launch.faults if not fault.is_note]
    assert not draft_probs.any()
    return outputs, len(launches)


@pytest.mark.parametrize(("vocabulary", "launches"), [(16, 1), (SLICED, 2)])
def test_every_child_of_the_last_node_is_excluded_and_no_other(vocabulary, launches):
    """0 has children 1, 2, 3; 2 has 4, 5.  The coins take 2, and then no child of it."""
    links = [[1, -1, 4, -1, -1, -1], [-1, 2, 3, -1, 5, -1]]
    coins = [0.25, 0.0, 0.9, 0.0, 0.0, 0.0]
    for last, wanted in [(0.0, 0), (0.51, 3), (0.7, 6), (0.99, 7)]:
        (predicts, index, count), found = simulate(links, coins, last, vocabulary)
        assert found == launches
        assert count.tolist() == [1]
        assert index[0, :2].tolist() == [0, 2]
        assert predicts[[0, 2]].tolist() == [2, wanted]


@pytest.mark.parametrize("vocabulary", [16, SLICED])
@pytest.mark.parametrize(
    ("links", "coin"),
    [
        ([[1, 2, -1], [-1, 1, -1]], 0.9),
        ([[1, 0, -1], [-1, -1, -1]], 0.0),
        ([[99, -7, 2**40], [2**33, 5, -9]], 0.0),
    ],
    ids=["siblings in a circle", "a child that is its parent's parent", "nodes that are none"],
)
def test_links_that_make_no_tree_end_in_range(vocabulary, links, coin):
    (predicts, index, count), _ = simulate(links, [coin] * 3, 0.5, vocabulary)
    assert 0 <= count.item() <= 2
    path = index[0, : count.item() + 1]
    assert ((path >= 0) & (path < 3)).all()
    assert 0 <= predicts[path[-1]] < vocabulary


@pytest.mark.parametrize("vocabulary", [16, SLICED])
def test_what_is_no_probability_gives_ids_in_range(vocabulary):
    links = [[1, 2, -1], [-1, -1, -1]]
    for odd in (float("nan"), float("inf"), -1.0):
        (predicts, index, count), _ = simulate(links, [0.5] * 3, 0.5, vocabulary, odd)
        assert 0 <= count.item() <= 2
        assert 0 <= predicts[index[0, count.item()]] < vocabulary


def make_meta(batch, nodes, vocabulary):
    probs = torch.empty(batch, nodes, vocabulary, device="meta")
    coins = torch.empty(batch, nodes, device="meta")
    links = coins.long()
    last = torch.empty(batch, device="meta")
    return links, links, links, links, coins, last, probs, probs, 1.0, 1.0, True


@pytest.mark.parametrize("arch", ["gfx90a", "gfx942", "gfx950"])
@pytest.mark.parametrize("vocabulary", [128, 8192, 151936])
def test_no_registers_are_spilled(arch, vocabulary):
    with recording(arch) as launches:
        tree_speculative_sampling_target_only(*make_meta(16, 64, vocabulary))
    for launch in launches:
        (metadata,) = read_metadata(launch.compiled.assembly)
        assert metadata.vgpr_spill_count == metadata.private_segment_fixed_size == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_passes_the_judge_strictly_on_a_gpu():
    for row in SPEC.cases:
        verdict = examine(SPEC, SPEC.make_case(row), TRITON, Device("gpu"), strict=True).verdict
        assert verdict.ok, (SPEC.make_case(row).id, verdict.failed, verdict.findings[:3])
