"""Targets as compilers and ELF headers spell them."""

from __future__ import annotations

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.target import Target, decode_target, read_target

SPELLINGS = [
    ("gfx90a", Target("gfx90a")),
    ("amdgcn-amd-amdhsa--gfx942", Target("gfx942")),
    ("amdgpu9.42-amd-amdhsa-unknown-gfx942", Target("gfx942")),
    ("amdgcn-amd-amdhsa--gfx90a:xnack-", Target("gfx90a", xnack=False)),
    ("amdgcn-amd-amdhsa--gfx950:sramecc+:xnack-", Target("gfx950", False, True)),
    ("amdgpu9.42-amd-amdhsa-unknown-gfx942:sramecc-", Target("gfx942", None, False)),
]


@pytest.mark.parametrize(("text", "wanted"), SPELLINGS)
def test_reads(text: str, wanted: Target) -> None:
    assert read_target(text) == wanted
    assert read_target(str(wanted)) == wanted


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("amdgcn-amd-amdhsa--gfx1100", "gfx1100 is not simulated; wanted one of gfx90a"),
        ("amdgcn-amd-amdhsa--gfx908:xnack+", "gfx908 is not simulated"),
        ("nvptx64-nvidia-cuda", "is not TRIPLE-gfxNNN"),
        ("amdgcn-amd-amdhsa--gfx942:wave32+", "is not TRIPLE-gfxNNN"),
        ("", "is not TRIPLE-gfxNNN"),
    ],
)
def test_refuses(text: str, problem: str) -> None:
    with pytest.raises(RocmoeError, match=problem):
        read_target(text)


def test_decodes_header_flags() -> None:
    assert decode_target(0x54C) == Target("gfx942")
    assert decode_target(0x24F) == Target("gfx950", xnack=False)
    assert decode_target(0xB3F) == Target("gfx90a", xnack=True, sramecc=False)
    with pytest.raises(RocmoeError, match="0x41"):
        decode_target(0x41)
