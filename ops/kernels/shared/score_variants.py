"""Which way of choosing by float32 scores runs on what: with a bias, or with groups of experts.

us: on one NVIDIA H100, in a graph of 20 calls, warm, of bf16 logits of 256 experts with k = 8.
AMD rows are chosen by what the simulator counts and the compiler allocates.
"""

from __future__ import annotations

from rocmoe.ops.core.variants import Variant
from rocmoe.ops.kernels.shared.lists import MOST_RANKS

#: scores: 1 where scores are compared, 0 where logits can be.
SCORE_VARIANTS = (
    Variant("rounds of scores", "a list of more than 16 ranks takes more registers than a lane has",
            least={"k": MOST_RANKS + 1, "scores": 1},
            parameters={"rows": 1, "columns": 1024, "keys": "rounds", "warps": 1}),
    Variant("groups", "four columns are the 32 experts of a group in 8 tiles, a whole list",
            arch="gfx9", least={"groups": 2, "scores": 1},
            parameters={"rows": 8, "columns": 4, "keys": "double", "warps": 1}),
    Variant("scores", "more than 512 experts: eight rows take 270 registers with k = 16",
            arch="gfx9", least={"E": 513, "scores": 1},
            parameters={"rows": 2, "columns": 64, "keys": "double", "warps": 1}),
    Variant("scores", "a maximum and a minimum of float64 are an instruction each on CDNA",
            arch="gfx9", least={"scores": 1},
            parameters={"rows": 8, "columns": 32, "keys": "double", "warps": 1}),
    Variant("groups", "8 groups, top 4: 2.5 us at T = 1 and 2.8 at 256, with four rows 3.1 and 3.3",
            most={"T": 1024}, least={"groups": 2, "scores": 1},
            parameters={"rows": 1, "columns": 8, "keys": "short", "warps": 1}),
    Variant("groups", "8 groups, top 4: 34.4 us at T = 65536, with keys of 64 bits 64.7",
            least={"groups": 2, "scores": 1},
            parameters={"rows": 4, "columns": 4, "keys": "short", "warps": 1}),
    Variant("scores", "2.3 us at T = 1 and 2.6 at 64, with two rows 2.6 and 2.7",
            most={"T": 256}, least={"scores": 1},
            parameters={"rows": 1, "columns": 32, "keys": "short", "warps": 1}),
    Variant("scores", "2.9 us at T = 1024, with one row 3.2, with four 3.1",
            most={"T": 2048}, least={"scores": 1},
            parameters={"rows": 2, "columns": 32, "keys": "short", "warps": 1}),
    Variant("scores", "32.2 us at T = 65536, of 32 columns 34.0, with keys of 64 bits 128.8",
            least={"scores": 1},
            parameters={"rows": 4, "columns": 16, "keys": "short", "warps": 1}),
)  # fmt: skip
