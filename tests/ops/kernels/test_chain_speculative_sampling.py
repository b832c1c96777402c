import pytest

pytest.importorskip("triton", reason="triton is not installed")
import torch

from rocmoe.ops.chain_speculative_sampling import run_torch
from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import Device, parse_device
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.launch import recording, simulating
from rocmoe.ops.core.simulator import CHECKS, Simulator, Watch
from rocmoe.ops.core.spec import load_op
from rocmoe.ops.gcn.assembly import read_metadata
from rocmoe.ops.kernels.chain_speculative_sampling import chain_speculative_sampling
from rocmoe.profiles.examination import examine

SPEC = load_op("chain_speculative_sampling")
TRITON = Implementation("chain_speculative_sampling", "triton", chain_speculative_sampling)
WORDS = "chain_speculative_sampling:B={},N={},V={}:fp32:threshold_single={},threshold_acc={}:{}:{}"

#: Tokens that take two launches, and do not fill the last slice.
SLICED = 20001


@pytest.mark.parametrize(
    "row",
    [
        (0, 4, 128, 1.0, 1.0, "normal", "contiguous"),
        (3, 1, 5, 1.0, 1.0, "normal", "contiguous"),
        (16, 6, 111, 0.7, 0.8, "cdf_edges", "strided"),
        (16, 4, 1000, 1.0, 1.0, "zero_rows", "offset"),
        (5, 7, 300, 0.5, 0.0, "peaked", "contiguous"),
        (2, 5, SLICED, 1.0, 1.0, "normal", "contiguous"),
        (3, 3, SLICED, 1.0, 1.0, "cdf_edges", "strided"),
        (4, 3, SLICED, 1.0, 1.0, "zero_rows", "offset"),
    ],
)
def test_passes_the_judge_strictly_in_the_simulator(row):
    case = SPEC.check_case(parse_case(WORDS.format(*row)))
    verdict = examine(SPEC, case, TRITON, parse_device("sim:gfx942"), strict=True).verdict
    assert verdict.ok, (verdict.failed, verdict.findings[:3])


def simulate(*inputs):
    """What the kernels answer in the simulator, which finds nothing to complain of."""
    simulator = Simulator("gfx942", Watch(CHECKS))
    with simulating(simulator):
        outputs = chain_speculative_sampling(*inputs)
    launches = simulator.take()
    assert not [fault for launch in launches for fault in launch.faults if not fault.is_note]
    return outputs, len(launches)


def make_inputs(target_probs, candidates, coins, last):
    return candidates, target_probs, torch.tensor(coins), torch.tensor(last), 1.0, 1.0


@pytest.mark.parametrize("vocabulary", [100, SLICED])
@pytest.mark.parametrize("coin", [0.0, 0.5, 1.0 - 2.0**-24, 1.0, 2.0])
def test_only_tokens_with_mass_are_drawn_whatever_the_coin(vocabulary, coin):
    """Mass of 0.1 on three tokens, whose prefixes round; the second lies where slices meet."""
    tokens = torch.tensor([3, vocabulary // 2048 * 2048 - 1 if vocabulary > 2048 else 50, 70])
    tokens = tokens.sort().values
    target_probs = torch.zeros(1, 1, vocabulary)
    target_probs[0, 0, tokens] = 0.1
    candidates = torch.zeros(1, 1, dtype=torch.int64)
    (length, bonus), launches = simulate(*make_inputs(target_probs, candidates, [[0.5]], [coin]))
    assert launches == (1 if vocabulary == 100 else 2)
    assert length.tolist() == [0]
    assert bonus.tolist() == [int(tokens[min(int(coin * 3), 2)])]


@pytest.mark.parametrize("vocabulary", [100, SLICED])
def test_what_is_no_probability_gives_ids_in_range(vocabulary):
    target_probs = torch.rand(4, 3, vocabulary)
    target_probs[0] = float("nan")
    target_probs[1, :, ::7] = float("inf")
    target_probs[2] = -1.0
    target_probs[3, 0, 5] = float("nan")
    candidates = torch.tensor([[0, 1, 2]] * 4)
    (length, bonus), _ = simulate(
        *make_inputs(target_probs, candidates, [[0.9] * 3] * 4, [0.5] * 4)
    )
    assert ((length >= 0) & (length <= 2)).all()
    assert ((bonus >= 0) & (bonus < vocabulary)).all()


@pytest.mark.parametrize("draft", [-1, 100, 2**40, -(2**62)])
def test_a_draft_that_is_no_token_is_not_looked_up(draft):
    target_probs = torch.full((2, 2, 100), 0.01)
    candidates = torch.tensor([[0, draft]] * 2)
    inputs = make_inputs(target_probs, candidates, [[0.5] * 2, [0.0] * 2], [0.255] * 2)
    (length, bonus), _ = simulate(*inputs)
    assert length.tolist() == [0, 1], "its probability counts as zero"
    assert bonus.tolist() == [25, 25]


def test_reads_transposed_probabilities():
    generator = torch.Generator().manual_seed(5)
    probs = torch.softmax(torch.randn(3, 4, 50, generator=generator), -1)
    transposed = probs.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    candidates = torch.randint(0, 50, (4, 3), generator=generator).t()
    coins = (0.05 * torch.rand(4, 3, generator=generator)).t()
    inputs = (candidates, transposed, coins, torch.rand(6, generator=generator)[::2], 1.0, 1.0)
    outputs, _ = simulate(*inputs)
    for found, wanted in zip(outputs, run_torch(*inputs), strict=True):
        assert found.tolist() == wanted.tolist()


def make_meta(batch, nodes, vocabulary, strides=None):
    shape = (batch, nodes, vocabulary)
    strides = strides or (nodes * vocabulary, vocabulary, 1)
    probs = torch.empty_strided(shape, strides, device="meta")
    coins = torch.empty(batch, nodes, device="meta")
    return coins.long(), probs, coins, torch.empty(batch, device="meta"), 1.0, 1.0


@pytest.mark.parametrize("arch", ["gfx90a", "gfx942", "gfx950"])
@pytest.mark.parametrize("vocabulary", [128, 8192, 32000, 151936])
def test_no_registers_are_spilled(arch, vocabulary):
    with recording(arch) as launches:
        chain_speculative_sampling(*make_meta(16, 8, vocabulary))
    for launch in launches:
        (metadata,) = read_metadata(launch.compiled.assembly)
        assert metadata.vgpr_spill_count == metadata.private_segment_fixed_size == 0


class Listener:
    """An executor that runs nothing and keeps what it was given."""

    arch = "gfx942"

    def __init__(self):
        self.given = []

    def launch(self, compiled, grid, arguments, /):
        self.given.append(arguments)


@pytest.mark.parametrize(
    ("strides", "wide"),
    [((8 * 151936, 151936, 1), False), ((2**40, 2**32, 1), False), ((8, 1, 2**14), True)],
)
def test_offsets_inside_a_row_are_64_bit_where_32_are_too_few(strides, wide):
    listener = Listener()
    with simulating(listener):
        chain_speculative_sampling(*make_meta(4096, 8, 151936, strides))
    assert [given["WIDE"] for given in listener.given] == [wide, wide]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_passes_the_judge_strictly_on_a_gpu():
    for row in SPEC.cases:
        verdict = examine(SPEC, SPEC.make_case(row), TRITON, Device("gpu"), strict=True).verdict
        assert verdict.ok, (SPEC.make_case(row).id, verdict.failed, verdict.findings[:3])
