"""Which way of choosing by logits runs on what: for topk_softmax, and topk_sigmoid with no bias.

us: on one NVIDIA H100, in a graph of 20 calls, warm, of bf16 logits of 256 experts with k = 8 where
nothing else is said.  AMD rows are chosen by what the simulator counts and the compiler allocates.
"""

from __future__ import annotations

from typing import Any

from rocmoe.ops.core.variants import Variant
from rocmoe.ops.kernels.shared.lists import MOST_RANKS

#: SIMDs of an MI300X: 304 compute units of four (AMD CDNA 3 white paper).
SIMDS = 1216

LOGIT_VARIANTS = (
    Variant("rounds", "a list of more than 16 ranks takes more registers than a lane has",
            least={"k": MOST_RANKS + 1}, parameters={"rows": 64, "warps": 1}),
    Variant("lists", "no more tokens than SIMDs: 16 lanes a token exchange by DPP alone",
            arch="gfx", most={"T": SIMDS, "bits": 16},
            parameters={"rows": 4, "columns": 32, "keys": "int", "warps": 1}),
    Variant("lists", "65 wave instructions a token on gfx942, with pairs 63 and twice the loads",
            arch="gfx", most={"E": 256, "bits": 16},
            parameters={"rows": 16, "columns": 32, "keys": "int", "warps": 1}),
    Variant("lists", "16 rows of more than 256 experts leave room for two waves a SIMD",
            arch="gfx", most={"bits": 16},
            parameters={"rows": 8, "columns": 32, "keys": "int", "warps": 1}),
    Variant("lists", "more than 512 experts of fp32: eight rows leave room for a wave a SIMD",
            arch="gfx9", least={"E": 513},
            parameters={"rows": 2, "columns": 64, "keys": "double", "warps": 1}),
    Variant("lists", "108 wave instructions a token on gfx942, int64 keys 207; 16 rows take 99 "
            "and leave room for three waves a SIMD",
            arch="gfx9", parameters={"rows": 8, "columns": 32, "keys": "double", "warps": 1}),
    Variant("lists", "32 lanes a token: 1.8 us at T = 1 and 1.9 at 64, with two rows 1.9 and 1.9",
            most={"T": 32, "bits": 16},
            parameters={"rows": 1, "columns": 64, "keys": "int", "warps": 1}),
    Variant("lists", "2.1 us at T = 1024, with one row 2.4, with pairs 2.3",
            most={"T": 2048, "bits": 16, "E": 256},
            parameters={"rows": 2, "columns": 32, "keys": "int", "warps": 1}),
    Variant("lists", "2.7 us at T = 4096, with pairs 2.8, with 16 rows 3.5",
            most={"T": 6144, "bits": 16, "E": 256},
            parameters={"rows": 8, "columns": 16, "keys": "int", "warps": 1}),
    Variant("lists", "E = 384: 2.3 us at T = 1024, single logits 2.5; E = 512, k = 10: 2.9 and 3.1",
            most={"T": 2048, "bits": 16}, least={"paired": 1},
            parameters={"rows": 2, "columns": 64, "keys": "pairs", "warps": 1}),
    Variant("lists", "16.9 us at T = 65536, single logits 19.7; E = 512, k = 10: 37.7, single 47.7",
            least={"paired": 1, "T": 32768}, most={"bits": 16},
            parameters={"rows": 8, "columns": 16, "keys": "pairs", "warps": 1}),
    Variant("lists", "5.8 us at T = 16384, with 8 rows 5.9", most={"bits": 16, "E": 256},
            least={"paired": 1, "T": 8192},
            parameters={"rows": 16, "columns": 16, "keys": "pairs", "warps": 1}),
    Variant("lists", "E = 384: 3.1 us at T = 4096, single logits 3.3; E = 512, k = 10: 4.4 and 4.7",
            least={"paired": 1}, most={"bits": 16},
            parameters={"rows": 8, "columns": 16, "keys": "pairs", "warps": 1}),
    Variant("lists", "rows that no 32-bit word of two logits can be read of: 19.7 us at T = 65536, "
            "of 32 columns 22.6",
            most={"bits": 16},
            parameters={"rows": 8, "columns": 16, "keys": "int", "warps": 1}),
    Variant("lists", "fp32: 1.9 us at T = 1 and 2.1 at 64, with two rows 2.2 and 2.3",
            most={"T": 512}, parameters={"rows": 1, "columns": 32, "keys": "short", "warps": 1}),
    Variant("lists", "fp32: 2.6 us at T = 1024, with four rows 3.1", most={"T": 2048},
            parameters={"rows": 2, "columns": 32, "keys": "short", "warps": 1}),
    Variant("lists", "fp32: 44.2 us at T = 65536, 4.3 at 4096; with keys of 64 bits 56.5, 5.2",
            parameters={"rows": 4, "columns": 64, "keys": "short", "warps": 1}),
)  # fmt: skip


def find_sizes(gating_output: Any, topk: int) -> dict[str, int]:
    """What the tables ask of logits [T, E]; paired: whether two can be read as one 32-bit word.

    bits: of a logit.
    """
    tokens, num_experts = gating_output.shape
    token_stride, expert_stride = gating_output.stride()
    bytes_each = gating_output.element_size()
    paired = (
        bytes_each == 2
        and expert_stride == 1
        and not (token_stride | num_experts) & 1
        and num_experts >= 4 * MOST_RANKS
        and not gating_output.data_ptr() & 3
    )
    return {
        "T": tokens,
        "E": num_experts,
        "k": topk,
        "bits": 8 * bytes_each,
        "paired": int(paired),
    }
