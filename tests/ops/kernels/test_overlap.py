"""Launches that overlap: who may, and that followers wait, in the code that CUDA would run."""

import re
from dataclasses import dataclass, replace

import pytest

triton = pytest.importorskip("triton", reason="triton is not installed")
import torch  # noqa: E402
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from rocmoe.ops.core import compilation, launch  # noqa: E402
from rocmoe.ops.core.compilation import CompiledKernel  # noqa: E402
from rocmoe.ops.core.variants import Variant  # noqa: E402
from rocmoe.ops.kernels import moe_sorting as sorting  # noqa: E402
from rocmoe.ops.kernels import top_p_renorm_probs as renorm  # noqa: E402
from rocmoe.ops.kernels import tree_speculative_sampling_target_only as tree  # noqa: E402
from rocmoe.ops.kernels.chain_speculative_sampling import (  # noqa: E402
    chain_speculative_sampling,
)
from rocmoe.ops.kernels.shared import overlap  # noqa: E402
from rocmoe.ops.kernels.topk_softmax_sorting import topk_softmax_sorting  # noqa: E402

WAIT, ANNOUNCE = "griddepcontrol.wait", "griddepcontrol.launch_dependents"


@dataclass(frozen=True)
class Made:
    """A kernel, its PTX, and whether it was launched to overlap with the one ahead."""

    name: str
    ptx: str
    overlaps: bool

    def find(self, instruction):
        """Where an instruction stands first, past the end where nowhere."""
        found = re.search(instruction, self.ptx)
        return found.start() if found else len(self.ptx)


@pytest.fixture
def cuda(monkeypatch):
    """A function that runs a host function and lists what it would launch on an H100."""
    target, made = GPUTarget("cuda", 90, 32), []

    def compile_for_cuda(kernel, arch, packed):
        options, signature, constants, attributes = packed
        source = ASTSource(kernel, signature, constants, attributes)
        code = triton.compile(source, target=target, options=options.__dict__)
        made.append(Made(code.metadata.name, code.asm["ptx"], code.metadata.launch_pdl))
        return CompiledKernel(code.metadata.name, arch, "", b"", 0, 0, 1, 32, "", ())

    monkeypatch.setitem(compilation.WAVE_SIZES, "sm90", 32)
    monkeypatch.setattr(compilation, "_make_target", lambda arch: target)
    monkeypatch.setattr(compilation, "_compile", compile_for_cuda)
    monkeypatch.setattr(compilation, "_compiled", {})
    monkeypatch.setattr(compilation, "_binders", {})

    def run(function, *arguments):
        with launch.recording("sm90"):
            function(*arguments)
        return made

    return run


def empty(*shape, dtype=torch.float32):
    return torch.empty(shape, dtype=dtype, device="meta")


def sort_arguments(tokens):
    ids = empty(tokens, 2, dtype=torch.int32)
    return (ids, empty(tokens, 2), 16, 4, None, None, 0)


def check(made, names):
    """The first waits for nothing; each that overlaps waits before it stores; all but the last of
    these small ones announce."""
    assert [each.name for each in made] == names
    assert not made[0].overlaps
    assert WAIT not in made[0].ptx
    for each in made[1:]:
        assert each.overlaps
        assert each.find(WAIT) < each.find(r"\b(st|red|atom)\.global")
    assert [ANNOUNCE in each.ptx for each in made] == [True] * (len(made) - 1) + [False]


COUNTED = {"tiles": 1, "experts": 16, "count_warps": 1, "place_warps": 1, "early": 1,
           "announce": "count"}  # fmt: skip
SCANNED = {"tiles": 1, "experts": 16, "count_warps": 1, "place_warps": 1, "line": 128,
           "scan_experts": 8, "scan_chunks": 2, "scan_warps": 1,
           "announce": "count scan"}  # fmt: skip


@pytest.mark.parametrize("early", [0, 1])
def test_placing_waits_for_the_counts_and_not_for_the_pairs(monkeypatch, cuda, early):
    table = (Variant("counted", "", parameters={**COUNTED, "early": early}),)
    monkeypatch.setattr(sorting, "VARIANTS", table)
    made = cuda(sorting.moe_sorting, *sort_arguments(40))
    check(made, ["count_chunks", "place_chunks"])
    assert (made[1].find(r"ld\.global") < made[1].find(WAIT)) == bool(early)
    # Programs that place, ahead of the counts or of the pairs and the counts, and that pad.
    assert made[1].ptx.count(WAIT) == (2 if early else 3)


def test_a_scan_waits_for_the_counts_and_placing_orders_its_pairs_meanwhile(monkeypatch, cuda):
    monkeypatch.setattr(sorting, "VARIANTS", (Variant("scanned", "", parameters=SCANNED),))
    made = cuda(sorting.moe_sorting, *sort_arguments(40))
    check(made, ["count_chunks", "scan_counts", "place_in_order"])
    assert made[1].find(WAIT) < made[1].find(r"ld\.global")
    assert made[2].find(r"ld\.global") < made[2].find(WAIT)
    assert made[2].find(r"shfl|max\.s32") < made[2].find(WAIT)
    assert made[2].ptx.count(WAIT) == 2  # of programs that place, and that pad


def test_a_launch_that_is_not_to_announce_does_not(monkeypatch, cuda):
    silent = {**SCANNED, "announce": "scan"}
    monkeypatch.setattr(sorting, "VARIANTS", (Variant("scanned", "", parameters=silent),))
    made = cuda(sorting.moe_sorting, *sort_arguments(40))
    assert [ANNOUNCE in each.ptx for each in made] == [False, True, False]
    assert [each.overlaps for each in made] == [False, True, True]


@pytest.mark.parametrize("way", ["at_once", "counted", "scanned"])
def test_what_sorts_the_choice_just_made_reads_no_id_ahead(monkeypatch, cuda, way):
    words = {"at_once": {"tiles": 1, "experts": 1, "warps": 1}, "counted": COUNTED,
             "scanned": SCANNED}[way]  # fmt: skip
    monkeypatch.setattr(sorting, "VARIANTS", (Variant(way, "", parameters=words),))
    made = cuda(topk_softmax_sorting, empty(40, 16), 2, True, 4, None, None, 0)
    gate, *sorts = made
    assert ANNOUNCE in gate.ptx
    assert not gate.overlaps
    assert sorts
    for each in sorts:
        assert each.overlaps
        assert each.find(WAIT) < each.find(r"ld\.global")


def test_renormalising_reads_its_row_ahead_and_divides_after(monkeypatch, cuda):
    parts = replace(renorm.VARIANTS[1], most={})
    monkeypatch.setattr(renorm, "VARIANTS", (parts,))
    made = cuda(renorm.top_p_renorm_probs, empty(2, 70000), 0.9)
    check(made, ["sift_rows", "settle_rows", "write_rows"])
    assert made[2].find(r"ld\.global") < made[2].find(WAIT)


def test_a_chain_is_drawn_from_after_its_slices_are_summed(cuda):
    coins = empty(2, 3)
    arguments = (empty(2, 3, dtype=torch.int64), empty(2, 3, 9000), coins, empty(2), 1.0, 1.0)
    check(cuda(chain_speculative_sampling, *arguments), ["sum_slices", "draw_bonus"])


def test_a_tree_is_drawn_from_after_its_slices_are_summed(cuda):
    links = [empty(2, 3, dtype=torch.int64) for _ in range(4)]
    coins, final, probs = empty(2, 3), empty(2), empty(2, 3, 9000)
    function = tree.tree_speculative_sampling_target_only
    made = cuda(function, *links, coins, final, probs, probs, 1.0, 1.0, True)
    check(made, ["sum_slices", "draw_last"])


@pytest.mark.parametrize(
    ("arch", "can"),
    [("sm90", True), ("sm100", True), ("sm89", False), ("gfx942", False), ("", False)],
)
def test_only_cuda_from_compute_capability_9_on_overlaps(monkeypatch, arch, can):
    monkeypatch.setattr(overlap, "find_arch", lambda tensor: arch)
    assert overlap.can_overlap(None) == can


def test_a_variant_names_the_launches_that_announce():
    variant = Variant("two", "", parameters={"announce": "count scan"})
    assert overlap.announces(variant, "scan")
    assert not overlap.announces(variant, "place")


def test_older_gpus_neither_announce_nor_wait(monkeypatch, cuda):
    monkeypatch.setattr(overlap, "find_arch", lambda tensor: "sm89")
    monkeypatch.setattr(sorting, "VARIANTS", (Variant("scanned", "", parameters=SCANNED),))
    cuda(renorm.top_p_renorm_probs, empty(2, 70000), 0.9)
    made = cuda(topk_softmax_sorting, empty(40, 16), 2, True, 4, None, None, 0)
    assert len(made) == 3 + 4
    for each in made:
        assert not each.overlaps
        assert "griddepcontrol" not in each.ptx
