"""Which way of choosing by float32 scores runs on what: with a bias, or with groups of experts.

us: on one NVIDIA H100, in a graph of 20 calls, warm, of bf16 logits of 256 experts with k = 8.
AMD rows are chosen by what the simulator counts and the compiler allocates.
"""

from __future__ import annotations

from rocmoe.ops.core.variants import Variant
from rocmoe.ops.kernels.shared.lists import MOST_RANKS
from rocmoe.ops.kernels.shared.strips import STRIP_WORDS

#: Strips of a row that are looked at together, where scores are compared.
LANES = 4

#: scores: 1 where scores are compared, 0 where logits can be.
SCORE_VARIANTS = (
    Variant("rounds of scores", "a list of more than 16 ranks takes more registers than a lane has",
            least={"k": MOST_RANKS + 1, "scores": 1},
            parameters={"rows": 1, "columns": 1024, "keys": "rounds", "warps": 1}),
    Variant("strips", "73 wave instructions a token on gfx942 and with 8 groups 103, sorting every "
            "score 119 and 148; of 512 experts three waves a SIMD have room",
            arch="gfx9", most={"E": 384}, least={"strips": 1, "scores": 1},
            parameters={"rows": 16, "lanes": LANES, "keys": "double", "warps": 1}),
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
    Variant("strips", "8 groups, top 4: 5.6 us at T = 4096 and 11.0 at 16384 with strips of 8 "
            "experts, with keys of 32 bits 6.5 and 11.0, sorting every score 6.5 and 12.4",
            most={"T": 16384}, least={"groups": 2, "strips": 1, "scores": 1},
            parameters={"rows": 8, "lanes": LANES, "keys": "int", "warps": 1}),
    Variant("strips", "8 groups, top 4: 28.5 us at T = 65536 with strips of 8 experts, with keys "
            "of 64 bits 37.8, sorting every score 34.1",
            least={"groups": 2, "strips": 1, "scores": 1},
            parameters={"rows": 8, "lanes": LANES, "keys": "short", "warps": 1}),
    Variant("groups", "8 groups, top 4: 34.4 us at T = 65536, with keys of 64 bits 64.7",
            least={"groups": 2, "scores": 1},
            parameters={"rows": 4, "columns": 4, "keys": "short", "warps": 1}),
    Variant("scores", "2.3 us at T = 1 and 2.6 at 64, with two rows 2.6 and 2.7",
            most={"T": 256}, least={"scores": 1},
            parameters={"rows": 1, "columns": 32, "keys": "short", "warps": 1}),
    Variant("scores", "2.9 us at T = 1024, with one row 3.2, with four 3.1, strips 3.9",
            most={"T": 1536}, least={"scores": 1},
            parameters={"rows": 2, "columns": 32, "keys": "short", "warps": 1}),
    Variant("strips", "E = 896, k = 16: 11.8, 37.4 and 147 us at T = 4096, 16384 and 65536, of 16 "
            "lanes 16.5, 59.5 and 222, sorting every score 16.6, 48.9 and 183; compiled in 20 s",
            least={"E": 513, "strips": 1, "scores": 1},
            parameters={"rows": 4, "lanes": 8, "keys": "int", "warps": 1}),
    Variant("strips", "4.0 us at T = 4096 and 8.8 at 16384, of 8 experts 4.6 and 9.7, with keys "
            "of 32 bits 5.2 and 8.8, sorting every score 5.5 and 10.8",
            most={"T": 16384}, least={"strips": 1, "scores": 1},
            parameters={"rows": 8, "lanes": LANES, "keys": "int", "warps": 1}),
    Variant("strips", "22.3 us at T = 65536, of 8 experts 23.8, with keys of 64 bits 28.5, sorting "
            "every score 31.9",
            least={"strips": 1, "scores": 1},
            parameters={"rows": 8, "lanes": LANES, "keys": "short", "warps": 1}),
    Variant("scores", "32.2 us at T = 65536, of 32 columns 34.0, with keys of 64 bits 128.8",
            least={"scores": 1},
            parameters={"rows": 4, "columns": 16, "keys": "short", "warps": 1}),
)  # fmt: skip


def fits_groups(size: int, topk_group: int, topk: int) -> int:
    """Whether groups of `size` experts are whole tiles of strips, and those kept hold k strips."""
    strip = STRIP_WORDS.value
    return int(not size % (LANES * strip) and topk_group * size >= strip * topk)
