"""How pairs are sorted by expert, by how many there are: for moe_sorting and moe_align_block_size.

Timed with moe_sorting on one NVIDIA H100, in a graph of 20 calls, warm: 256 experts, 8 a token,
blocks of 64 and no moe_buf; moe_align_block_size runs the same kernels without weights.
"""

from __future__ import annotations

from rocmoe.ops.core.variants import Variant

#: announce: the launches that let the next one start before they end, where CUDA lets them.
SORT_VARIANTS = (
    Variant("at_once", "4 tokens of 256 experts on an H100: 2.1 us, with 2 warps 2.6",
            most={"pairs": 32},
            parameters={"tiles": 1, "experts": 1, "warps": 1}),
    Variant("at_once", "16 tokens: 2.6 us, with one warp 2.7",
            most={"pairs": 128},
            parameters={"tiles": 4, "experts": 1, "warps": 2}),
    Variant("at_once", "64 tokens: 3.1 us, with 2 warps 3.3",
            most={"pairs": 512},
            parameters={"tiles": 16, "experts": 1, "warps": 4}),
    Variant("counted", "512 tokens: 3.7 us, pairs read after counts 4.1, without announcing 4.3",
            arch="sm", most={"pairs": 2**12, "E": 256},
            parameters={"tiles": 4, "experts": 8, "count_warps": 4, "place_warps": 4, "early": 1,
                        "announce": "count"}),
    Variant("counted", "1024 tokens: 4.1 us, without announcing 4.7; 2048: 4.9, scanned 5.3",
            arch="sm", most={"pairs": 2**14, "E": 256},
            parameters={"tiles": 8, "experts": 8, "count_warps": 4, "place_warps": 4, "early": 1,
                        "announce": "count"}),
    Variant("at_once", "128 tokens: 4.0 us, with 8 warps 4.2",
            most={"pairs": 1024, "E": 256},
            parameters={"tiles": 32, "experts": 1, "warps": 4}),
    Variant("counted", "256 tokens: 4.6 us, chunks of 8 tiles 5.3, at once 6.1",
            most={"pairs": 2**11, "E": 512},
            parameters={"tiles": 4, "experts": 8, "count_warps": 4, "place_warps": 4, "early": 0,
                        "announce": "count"}),
    Variant("counted", "1024 tokens: 5.9 us, chunks of 16 tiles 6.9",
            most={"pairs": 2**13, "E": 512},
            parameters={"tiles": 8, "experts": 8, "count_warps": 4, "place_warps": 4, "early": 0,
                        "announce": "count"}),
    Variant("counted", "513 experts, 9 a token: 64 tokens 4.2 us, 256 5.4; with a scan 9.9, 10.0",
            most={"pairs": 2**12},
            parameters={"tiles": 4, "experts": 16, "count_warps": 4, "place_warps": 4, "early": 0,
                        "announce": "count"}),
    Variant("scanned", "4096 tokens: 4.9 us, with scans of 4 experts 5.4, without announcing 7.3, "
            "counted 6.0; 8192: 6.1", arch="sm", most={"pairs": 2**16},
            parameters={"tiles": 16, "experts": 8, "count_warps": 4, "place_warps": 4, "line": 512,
                        "scan_experts": 8, "scan_chunks": 256, "scan_warps": 8,
                        "announce": "count scan"}),
    Variant("scanned", "16384 tokens: 7.6 us, with scans of 8 experts 8.2, in chunks of 1024 "
            "pairs 7.8", arch="sm", most={"pairs": 2**17},
            parameters={"tiles": 16, "experts": 8, "count_warps": 4, "place_warps": 4, "line": 512,
                        "scan_experts": 4, "scan_chunks": 256, "scan_warps": 4,
                        "announce": "count scan"}),
    Variant("scanned", "32768, 65536, 131072 tokens: 11.6, 16.3, 25.9 us, in chunks of 512 pairs "
            "11.9, 18.7, 32.7; announcing 10.9, 15.8, 25.2, but moe_align_block_size takes 21.8 at "
            "65536 then, and its kernels 13.6: programs that start early seem to crowd", arch="sm",
            parameters={"tiles": 32, "experts": 8, "count_warps": 4, "place_warps": 4, "line": 512,
                        "scan_experts": 4, "scan_chunks": 1024, "scan_warps": 8,
                        "announce": "none"}),
    Variant("counted", "4096 tokens, without overlap: 6.7 us, with 8 warps 8.0",
            most={"pairs": 2**15, "E": 256},
            parameters={"tiles": 16, "experts": 8, "count_warps": 4, "place_warps": 4, "early": 0,
                        "announce": "count"}),
    Variant("scanned", "not timed on CDNA; simulated: 0.50 of the instructions of placing pairs as "
            "they come, in chunks of 512 pairs 0.54",
            parameters={"tiles": 32, "experts": 8, "count_warps": 4, "place_warps": 2, "line": 512,
                        "scan_experts": 8, "scan_chunks": 256, "scan_warps": 8,
                        "announce": "none"}),
)  # fmt: skip
