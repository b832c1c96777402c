import pytest

pytest.importorskip("triton", reason="triton is not installed")
import torch

from rocmoe.ops.backends import triton as triton_backend
from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import Device, parse_device
from rocmoe.ops.core.launch import recording, simulating
from rocmoe.ops.core.pipeline import bind_stages, find_host_reads
from rocmoe.ops.core.simulator import CHECKS, Simulator, Watch
from rocmoe.ops.core.spec import load_op
from rocmoe.ops.gcn.assembly import read_metadata
from rocmoe.ops.kernels.dflash_verify import dflash_verify, soften
from rocmoe.ops.pipelines.dflash_verify import run_torch
from rocmoe.profiles.examination import examine

SPEC = load_op("dflash_verify")
TRITON = triton_backend.find(SPEC, "")
WORDS = (
    "dflash_verify:B={},N={},V={}:{}:temperature={},top_k={},top_p={},threshold_single=1.0,"
    "threshold_acc=1.0:{}:{}"
)
EACH = ("per_row", "per_row", "per_row")


@pytest.mark.parametrize(
    "row",
    [
        (0, 4, 64, "fp32", 0.8, 20, 0.9, "served", "contiguous"),
        (3, 1, 5, "fp32", 0.8, 2, 0.9, "normal", "contiguous"),
        (8, 5, 111, "bf16", *EACH, "normal", "strided"),
        (7, 4, 200, "fp32", *EACH, "dropped_drafts", "offset"),
        (6, 4, 150, "fp32", 0.0, 20, 0.9, "tied_best", "contiguous"),
        (6, 3, 150, "fp32", 0.8, 50, 1.0, "masked", "contiguous"),
        (4, 3, 300, "fp32", 0.1, 20, 0.9, "far", "contiguous"),
        (2, 2, 5000, "bf16", 0.8, 20, 0.9, "served", "contiguous"),
        (4, 3, 64, "fp32", *EACH, "nan_rows", "contiguous"),
    ],
)
def test_passes_the_judge_strictly_in_the_simulator(row):
    case = SPEC.check_case(parse_case(WORDS.format(*row)))
    verdict = examine(SPEC, case, TRITON, parse_device("sim:gfx942"), strict=True).verdict
    assert verdict.ok, (verdict.failed, verdict.findings[:3])


def make_inputs(batch, nodes, vocabulary, **changed):
    generator = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(batch, nodes, vocabulary, generator=generator)
    made = {
        "target_logits": logits,
        "candidates": logits.roll(1, dims=1).argmax(dim=-1),
        "temperatures": torch.tensor([0.8, 0.0, 1.3, 1.0])[:batch],
        "top_k": torch.tensor([20, 20, 5, 1], dtype=torch.int32)[:batch],
        "top_p": torch.tensor([0.9, 0.5, 1.0, 0.1])[:batch],
        "uniform_samples": torch.rand(batch, nodes, generator=generator),
        "uniform_samples_for_final_sampling": torch.rand(batch, generator=generator),
        "threshold_single": 1.0,
        "threshold_acc": 1.0,
    }
    return {**made, **changed}


def simulate(function, inputs):
    """What a function answers in the simulator, which finds nothing to complain of."""
    simulator = Simulator("gfx942", Watch(CHECKS))
    with simulating(simulator):
        outputs = function(**inputs)
    launches = simulator.take()
    assert not [fault for launch in launches for fault in launch.faults if not fault.is_note]
    return outputs, launches


def test_a_softened_row_is_the_softmax_at_its_sequences_temperature():
    """Rows of three rounds; a greedy sequence is softened at temperature 1."""
    inputs = make_inputs(3, 2, 9000)
    names = ("target_logits", "temperatures", "top_k", "top_p")
    (probs, best, ranks, masses), _ = simulate(soften, {name: inputs[name] for name in names})
    for row, (sequence, warm) in enumerate([(0, 0.8), (0, 0.8), (1, 1.0), (1, 1.0), (2, 1.3)]):
        logits = inputs["target_logits"][sequence, row % 2]
        torch.testing.assert_close(
            probs[row].double(), (logits.double() / warm).softmax(0), rtol=1e-5, atol=0
        )
    assert best.tolist() == inputs["target_logits"].argmax(-1).flatten().tolist()
    assert ranks.tolist() == [20, 20, 20, 20, 5, 5]
    assert masses.tolist() == inputs["top_p"].repeat_interleave(2).tolist()


@pytest.mark.parametrize("places", [(0, 70), (63, 64), (70, 4097), (4096, 8999), (4095, 8191)])
def test_the_first_of_equal_largest_logits_is_the_best(places):
    logits = torch.full((1, 1, 9000), -2.0)
    logits[0, 0, list(places)] = 5.0
    settings = {"temperatures": torch.ones(1), "top_k": torch.ones(1, dtype=torch.int32)}
    (_, best, _, _), _ = simulate(
        soften, {"target_logits": logits, **settings, "top_p": torch.ones(1)}
    )
    assert best.tolist() == [places[0]]


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), torch.finfo(torch.float32).min]
)
def test_what_is_no_logit_gives_ids_in_range(value):
    inputs = make_inputs(4, 3, 100)
    inputs["target_logits"][:, 1:] = value
    inputs["target_logits"][0, 0, ::7] = value
    (length, bonus), _ = simulate(dflash_verify, inputs)
    assert ((length >= 0) & (length <= 2)).all()
    assert ((bonus >= 0) & (bonus < 100)).all()


def test_reads_inputs_in_any_layout():
    inputs = make_inputs(4, 3, 50)
    transposed = {
        **inputs,
        "target_logits": inputs["target_logits"].permute(2, 1, 0).contiguous().permute(2, 1, 0),
        "candidates": inputs["candidates"].t().contiguous().t(),
        "uniform_samples": inputs["uniform_samples"].t().contiguous().t(),
        **{
            name: inputs[name].repeat_interleave(3)[::3]
            for name in ("temperatures", "top_k", "top_p", "uniform_samples_for_final_sampling")
        },
    }
    outputs, _ = simulate(dflash_verify, transposed)
    for found, wanted in zip(outputs, run_torch(**inputs), strict=True):
        assert found.tolist() == wanted.tolist()


def test_stages_are_those_of_the_whole_and_run_alone():
    inputs = make_inputs(4, 3, 50)
    simulator = Simulator("gfx942")
    with simulating(simulator):
        whole = dflash_verify(**inputs)
        launched = [launch.kernel for launch in simulator.take()]
        bound = bind_stages(dflash_verify, inputs)
        simulator.take()
        alone = [(each.stage.name, each.call()) for each in bound for _ in range(2)]
        again = [launch.kernel for launch in simulator.take()]
    assert launched == ["soften_rows", "renormalise_rows", "verify_rows", "follow_best"]
    assert again == [kernel for kernel in launched for _ in range(2)]
    assert [name for name, _ in alone[::2]] == ["temperature", "top_k_top_p", "chain", "greedy"]
    assert [each.tolist() for each in alone[-1][1]] == [each.tolist() for each in whole]


def make_meta(batch, nodes, vocabulary, dtype=torch.float32, strides=None):
    def make(*shape, kind=torch.float32):
        return torch.empty(shape, dtype=kind, device="meta")

    shape = (batch, nodes, vocabulary)
    strides = strides or (nodes * vocabulary, vocabulary, 1)
    return {
        "target_logits": torch.empty_strided(shape, strides, dtype=dtype, device="meta"),
        "candidates": make(batch, nodes, kind=torch.int64),
        "temperatures": make(batch),
        "top_k": make(batch, kind=torch.int32),
        "top_p": make(batch),
        "uniform_samples": make(batch, nodes),
        "uniform_samples_for_final_sampling": make(batch),
        "threshold_single": 1.0,
        "threshold_acc": 1.0,
    }


@pytest.mark.parametrize(
    ("arch", "vocabulary", "dtype"),
    [
        ("gfx90a", 1024, torch.float32),
        ("gfx90a", 151936, torch.bfloat16),
        ("gfx942", 300, torch.bfloat16),
        ("gfx942", 1024, torch.float32),
        ("gfx942", 151936, torch.bfloat16),
        ("gfx950", 151936, torch.float32),
    ],
)
def test_nothing_is_read_on_the_host_and_no_register_is_spilled(arch, vocabulary, dtype):
    """Tensors without contents cannot be read, so that a graph can capture the whole."""
    assert find_host_reads(dflash_verify) == ""
    with recording(arch) as launches:
        dflash_verify(**make_meta(4, 16, vocabulary, dtype))
    assert len(launches) == (4 if vocabulary <= 1024 else 7)
    for launch in launches:
        (metadata,) = read_metadata(launch.compiled.assembly)
        assert metadata.vgpr_spill_count == metadata.sgpr_spill_count == 0
        assert metadata.private_segment_fixed_size == 0


class Listener:
    """An executor that runs nothing and keeps what it was given."""

    arch = "gfx942"

    def __init__(self):
        self.given = []

    def launch(self, compiled, grid, arguments, /):
        self.given.append(arguments)


@pytest.mark.parametrize(("strides", "wide"), [((2**40, 2**33, 1), False), ((16, 1, 2**14), True)])
def test_offsets_inside_a_row_are_64_bit_where_32_are_too_few(strides, wide):
    listener = Listener()
    with simulating(listener):
        dflash_verify(**make_meta(2, 16, 151936, strides=strides))
    assert listener.given[0]["WIDE"] == wide


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_passes_the_judge_strictly_on_a_gpu():
    for row in SPEC.cases:
        verdict = examine(SPEC, SPEC.make_case(row), TRITON, Device("gpu"), strict=True).verdict
        assert verdict.ok, (SPEC.make_case(row).id, verdict.failed, verdict.findings[:3])
