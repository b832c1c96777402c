"""Which way of choosing by logits runs on what: for topk_softmax, and topk_sigmoid with no bias.

us: on one NVIDIA H100, in a graph of 20 calls, warm, of bf16 logits of 256 experts with k = 8 where
nothing else is said.  AMD rows are chosen by what the simulator counts and the compiler allocates.
"""

from __future__ import annotations

from typing import Any

from rocmoe.ops.core.variants import Variant
from rocmoe.ops.kernels.shared.lists import MOST_RANKS
from rocmoe.ops.kernels.shared.strips import STRIP_EXPERTS

#: Of a program of strips.
MOST_ROWS = 16
#: SIMDs of an MI300X: 304 compute units of four (AMD CDNA 3 white paper).
SIMDS = 1216

LOGIT_VARIANTS = (
    Variant("rounds", "a list of more than 16 ranks takes more registers than a lane has",
            least={"k": MOST_RANKS + 1}, parameters={"rows": 64, "warps": 1}),
    Variant("lists", "no more tokens than SIMDs: 16 lanes a token exchange by DPP alone",
            arch="gfx", most={"T": SIMDS, "bits": 16},
            parameters={"rows": 4, "columns": 32, "keys": "int", "warps": 1}),
    Variant("strips", "46 wave instructions a token on gfx942, sorting every logit 65; of two "
            "lanes and 32 rows 35, in loads of 32 bytes a row",
            arch="gfx", most={"bits": 16}, least={"strips": 1},
            parameters={"rows": 16, "lanes": 4, "keys": "int", "warps": 1}),
    Variant("lists", "65 wave instructions a token on gfx942",
            arch="gfx", most={"E": 256, "bits": 16},
            parameters={"rows": 16, "columns": 32, "keys": "int", "warps": 1}),
    Variant("lists", "16 rows of more than 256 experts leave room for two waves a SIMD",
            arch="gfx", most={"bits": 16},
            parameters={"rows": 8, "columns": 32, "keys": "int", "warps": 1}),
    Variant("strips", "fp32: 56 wave instructions a token on gfx942, sorting every logit 108",
            arch="gfx9", most={"E": 256}, least={"strips": 1},
            parameters={"rows": 16, "lanes": 4, "keys": "double", "warps": 1}),
    Variant("strips", "fp32, E = 1024, k = 16: 251 wave instructions a token on gfx942, sorting "
            "every logit 742; 16 rows of 512 experts leave room for a wave a SIMD",
            arch="gfx9", least={"strips": 1},
            parameters={"rows": 8, "lanes": 8, "keys": "double", "warps": 1}),
    Variant("lists", "more than 512 experts of fp32: eight rows leave room for a wave a SIMD",
            arch="gfx9", least={"E": 513},
            parameters={"rows": 2, "columns": 64, "keys": "double", "warps": 1}),
    Variant("lists", "108 wave instructions a token on gfx942, int64 keys 207; 16 rows take 99 "
            "and leave room for three waves a SIMD",
            arch="gfx9", parameters={"rows": 8, "columns": 32, "keys": "double", "warps": 1}),
    Variant("lists", "32 lanes a token: 1.8 us at T = 1 and 1.9 at 64, with two rows 1.9 and 1.9",
            most={"T": 32, "bits": 16},
            parameters={"rows": 1, "columns": 64, "keys": "int", "warps": 1}),
    Variant("lists", "E = 512, k = 10: 2.3 us at T = 64 and 256, 2.4 at 512; strips 2.7, 2.7, 2.7",
            most={"T": 512, "bits": 16, "E": 512}, least={"E": 257},
            parameters={"rows": 1, "columns": 64, "keys": "int", "warps": 1}),
    Variant("lists", "E = 512, k = 10: 2.7 us at T = 1024, a row a program 3.1, strips 2.9",
            most={"T": 1536, "bits": 16, "E": 512}, least={"E": 257},
            parameters={"rows": 4, "columns": 32, "keys": "int", "warps": 2}),
    Variant("lists", "2.3 us at T = 1024, strips 2.4; at 2048 2.5 and 2.4",
            most={"T": 1536, "bits": 16, "E": 256},
            parameters={"rows": 2, "columns": 32, "keys": "int", "warps": 1}),
    Variant("strips", "512 experts, k = 10: 2.9 us at T = 1024, of four lanes 3.2",
            most={"T": 1536, "bits": 16}, least={"strips": 1},
            parameters={"rows": 4, "lanes": 8, "keys": "int", "warps": 1}),
    Variant("strips", "2.7, 5.0, 12.7 and 53.5 us at T = 4096, 16384, 65536 and 262144; sorting "
            "every logit, or pairs of them, 3.0, 5.8, 16.7 and 60.4",
            most={"bits": 16}, least={"strips": 1},
            parameters={"rows": 8, "lanes": 4, "keys": "int", "warps": 1}),
    Variant("lists", "rows that no strips can be read of: 19.7 us at T = 65536, of 32 columns 22.6",
            most={"bits": 16},
            parameters={"rows": 8, "columns": 16, "keys": "int", "warps": 1}),
    Variant("lists", "fp32: 1.9 us at T = 1 and 2.1 at 64, with two rows 2.2 and 2.3",
            most={"T": 512}, parameters={"rows": 1, "columns": 32, "keys": "short", "warps": 1}),
    Variant("lists", "fp32: 2.5 us at T = 1024, strips 3.2; at 2048 3.0 and 3.3", most={"T": 2048},
            parameters={"rows": 2, "columns": 32, "keys": "short", "warps": 1}),
    Variant("strips", "fp32: 3.6 us at T = 4096, where keys of 32 bits take 4.4: one program that "
            "chooses again is the tail of the launch",
            most={"T": 8192}, least={"strips": 1},
            parameters={"rows": 8, "lanes": 4, "keys": "int", "warps": 1}),
    Variant("strips", "fp32: 7.2 us at T = 16384, of eight lanes 8.5, with keys of 64 bits 8.8",
            most={"T": 32768}, least={"strips": 1},
            parameters={"rows": 8, "lanes": 4, "keys": "short", "warps": 1}),
    Variant("strips", "fp32: 28.5 us at T = 65536, of four lanes 29.5, sorting every logit 46.8",
            least={"strips": 1},
            parameters={"rows": 4, "lanes": 8, "keys": "short", "warps": 1}),
    Variant("lists", "fp32: 44.2 us at T = 65536, 4.3 at 4096; with keys of 64 bits 56.5, 5.2",
            parameters={"rows": 4, "columns": 64, "keys": "short", "warps": 1}),
)  # fmt: skip


def find_sizes(gating_output: Any, topk: int) -> dict[str, int]:
    """What the tables ask of logits [T, E]: T, E, k, the bits of a logit, and strips.

    strips: whether the experts are whole strips side by side, k of them or more, whose words are
    aligned and within the reach of offsets of 32 bits.
    """
    tokens, num_experts = gating_output.shape
    token_stride, expert_stride = gating_output.stride()
    bytes_each = gating_output.element_size()
    strip = STRIP_EXPERTS.get(8 * bytes_each, 0)
    strips = (
        bool(strip)
        and expert_stride == 1
        and not num_experts % strip
        and num_experts >= strip * topk
        and not (token_stride * bytes_each | gating_output.data_ptr()) & 3
        and MOST_ROWS * token_stride + num_experts < 2**31
    )
    return {
        "T": tokens,
        "E": num_experts,
        "k": topk,
        "bits": 8 * bytes_each,
        "strips": int(strips),
    }
