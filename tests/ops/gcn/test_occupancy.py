"""Occupancy against hand-worked cases, each with its rule, and against what LLVM wrote."""

import math
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.ops.core.compilation import WAVE_SIZES
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.audit import audit
from rocmoe.ops.gcn.kernel_code import read_kernel_codes
from rocmoe.ops.gcn.occupancy import ARCHITECTURES, find_occupancy, find_processor, unify

FIXTURES = Path(__file__).parent / "fixtures"
LLVM = re.compile(r"; Occupancy: (\d+)")


def occupy(arch, vgpr=8, agpr=0, sgpr=16, lds=0, waves=1, wave_size=None, wgp=True):
    processor = find_processor(arch, wave_size or WAVE_SIZES[arch], wgp)
    return find_occupancy(processor, vgpr=vgpr, agpr=agpr, sgpr=sgpr, lds_bytes=lds, waves=waves)


#: arch, (vgpr, agpr, sgpr, lds, waves of a workgroup), waves a SIMD, workgroups, limited by.
CASES = [
    # CDNA: 512 registers a lane, at most 8 waves: 512 / 64.
    ("gfx90a", (64, 0, 16, 0, 1), 8, 32, ("waves",)),
    # Given in eights: 65 are 72, 512 / 72 = 7.
    ("gfx942", (65, 0, 16, 0, 1), 7, 28, ("vgpr",)),
    ("gfx950", (128, 0, 16, 0, 4), 4, 4, ("vgpr",)),
    ("gfx942", (129, 0, 16, 0, 1), 3, 12, ("vgpr",)),
    ("gfx942", (168, 0, 16, 0, 4), 3, 3, ("vgpr",)),
    # Unified: architectural ones up to a multiple of 4, then accumulators: 104 + 30 = 134, 136.
    ("gfx942", (102, 30, 16, 0, 1), 3, 12, ("vgpr",)),
    ("gfx90a", (100, 4, 16, 0, 1), 4, 16, ("vgpr",)),
    ("gfx942", (256, 256, 16, 0, 1), 1, 4, ("vgpr",)),
    # A workgroup of 8 waves wants 2 of each SIMD: room for a third stays empty.
    ("gfx942", (168, 0, 16, 0, 8), 2, 1, ("vgpr", "workgroup")),
    # 16 waves want 4 of each SIMD, which 256 registers leave only 2 of: no workgroup fits.
    ("gfx942", (256, 0, 16, 0, 16), 0, 0, ("vgpr", "workgroup")),
    # SGPRs: 800 a SIMD in 16s, and 16 of each wave for the trap handler: 800 / (96 + 16) = 7.
    ("gfx942", (8, 0, 96, 0, 1), 7, 28, ("sgpr",)),
    ("gfx942", (8, 0, 80, 0, 1), 8, 32, ("waves",)),
    ("gfx90a", (8, 0, 97, 0, 1), 6, 24, ("sgpr",)),
    # LDS: 64 KiB a CU in units of 512 bytes: 2049 take 2560, so 25 workgroups; 7 on one SIMD.
    ("gfx942", (8, 0, 16, 2049, 1), 7, 25, ("lds",)),
    ("gfx942", (8, 0, 16, 16384, 4), 4, 4, ("lds",)),
    ("gfx90a", (8, 0, 16, 65536, 1), 1, 1, ("lds",)),
    ("gfx942", (8, 0, 16, 65537, 1), 0, 0, ("lds",)),
    # gfx950: 160 KiB in units of 1280 bytes: 16384 take 16640, so 9 workgroups.
    ("gfx950", (8, 0, 16, 16384, 1), 3, 9, ("lds",)),
    ("gfx950", (8, 0, 16, 65537, 4), 2, 2, ("lds",)),
    # Barriers: 16 workgroups of several waves a CU; 32 waves are the slots anyway.
    ("gfx942", (8, 0, 16, 0, 2), 8, 16, ("waves",)),
    # 5 waves: 6 workgroups are 30 of 32 slots.
    ("gfx942", (8, 0, 16, 0, 5), 8, 6, ("workgroup",)),
    # gfx11 and gfx12, wave32: 1536 a lane in 24s, at most 16 waves: 1536 / 96 = 16.
    ("gfx1100", (96, 0, 106, 0, 1), 16, 64, ("waves",)),
    ("gfx1100", (97, 0, 106, 0, 1), 12, 48, ("vgpr",)),
    ("gfx1201", (121, 0, 106, 0, 1), 10, 40, ("vgpr",)),
    ("gfx1201", (256, 0, 106, 0, 4), 5, 5, ("vgpr",)),
    # A WGP has 128 KiB, in units of 1024, of which a workgroup can have 64.
    ("gfx1100", (24, 0, 16, 16385, 8), 14, 7, ("lds",)),
    ("gfx1100", (24, 0, 16, 65536, 32), 16, 2, ("waves",)),
    ("gfx1201", (24, 0, 16, 65537, 4), 0, 0, ("lds",)),
    # 32 barriers of a WGP: as many workgroups of 2 waves as slots.
    ("gfx1100", (24, 0, 16, 0, 2), 16, 32, ("waves",)),
]  # fmt: skip


@pytest.mark.parametrize(("arch", "wants", "waves", "workgroups", "limited_by"), CASES)
def test_occupancy_of(arch, wants, waves, workgroups, limited_by):
    found = occupy(arch, *wants)
    assert (found.waves, found.workgroups, found.limited_by) == (waves, workgroups, limited_by)


def test_a_cu_of_its_own_has_half_of_a_wgp():
    whole = occupy("gfx1100", lds=32768, waves=4)
    half = occupy("gfx1100", lds=32768, waves=4, wgp=False)
    assert (whole.workgroups, half.workgroups) == (4, 2)
    assert (whole.waves, half.waves) == (4, 4)


def test_a_wave64_has_half_the_registers_of_a_wave32():
    # 768 a lane in 12s: 49 are 60, 768 / 60 = 12.
    assert occupy("gfx1100", vgpr=49, wave_size=64).waves == 12
    assert occupy("gfx1100", vgpr=49, wave_size=32).waves == 16


#: arch, (vgpr, agpr, sgpr, lds, lanes), what the LLVM of Triton 3.9.0 printed for a
#: kernel that uses just these (with llvm/llvm-project#201342 and #205637).
PRINTED = [
    ("gfx942", (64, 0, 6, 0, 64), 8),
    ("gfx942", (65, 0, 6, 0, 64), 7),
    ("gfx942", (128, 128, 6, 0, 64), 2),
    ("gfx942", (102, 30, 6, 0, 64), 3),
    ("gfx942", (1, 0, 96, 0, 64), 7),
    ("gfx942", (1, 0, 100, 0, 64), 6),
    ("gfx942", (1, 0, 6, 3000, 64), 6),
    ("gfx942", (1, 0, 6, 16385, 256), 3),
    ("gfx942", (1, 0, 6, 65536, 1024), 4),
    ("gfx950", (1, 0, 6, 16384, 64), 3),
    ("gfx950", (1, 0, 6, 32768, 256), 4),
    ("gfx1100", (2, 0, 0, 16384, 64), 4),
    ("gfx1100", (193, 0, 0, 0, 64), 7),
    ("gfx1201", (144, 0, 0, 0, 64), 10),
]


@pytest.mark.parametrize(("arch", "wants", "printed"), PRINTED)
def test_the_least_limit_is_what_llvm_prints(arch, wants, printed):
    waves = math.ceil(wants[4] / WAVE_SIZES[arch])
    assert min(occupy(arch, *wants[:4], waves).limits.values()) == printed


@pytest.mark.parametrize("file", sorted(FIXTURES.glob("*.s")), ids=lambda path: path.name)
def test_compiled_kernels_without_lds_have_the_occupancy_that_llvm_prints(file):
    printed = [int(number) for number in LLVM.findall(file.read_text())]
    codes = read_kernel_codes(file.read_bytes(), file.name)
    found = [min(audit(code).occupancy.limits.values()) for code in codes]
    assert found == printed or not printed
    assert len(printed) == len(codes) or file.name == "row_max.gfx942.s", "written by hand"


def test_triton_kernels_have_the_occupancy_that_llvm_prints():
    pytest.importorskip("triton", reason="compiles with Triton")
    torch = pytest.importorskip("torch")
    from rocmoe.ops.core.launch import recording
    from rocmoe.ops.kernels.topk_softmax import topk_softmax

    for arch in ("gfx90a", "gfx942", "gfx950"):
        with recording(arch) as launches:
            topk_softmax(torch.zeros(64, 256), 8, True)
        compiled = launches[0].compiled
        (code,) = read_kernel_codes(compiled.assembly.encode(), "kernel.s")
        found = audit(code, compiled.block[0]).occupancy
        assert min(found.limits.values()) == int(LLVM.search(compiled.assembly)[1]), arch


@given(
    arch=st.sampled_from(("gfx90a", "gfx942", "gfx950")),
    vgpr=st.integers(0, 256),
    agpr=st.integers(0, 256),
    sgpr=st.integers(0, 106),
    lds=st.integers(0, 65536),
    waves=st.integers(1, 16),
)
@settings(max_examples=100, deadline=None)
def test_no_resource_is_overdrawn_and_one_more_workgroup_would(arch, vgpr, agpr, sgpr, lds, waves):
    found = occupy(arch, vgpr, agpr, sgpr, lds, waves)
    unit, total = (1280, 163840) if arch == "gfx950" else (512, 65536)

    def fits(workgroups):
        resident = math.ceil(workgroups * waves / 4)
        registers = max(8, math.ceil(unify(vgpr, agpr) / 8) * 8)
        scalars = max(16, math.ceil(sgpr / 16) * 16) + 16
        return (
            resident <= 8
            and resident * registers <= 512
            and resident * scalars <= 800
            and workgroups * math.ceil(lds / unit) * unit <= total
            and (waves == 1 or workgroups <= 16)
        )

    assert fits(found.workgroups)
    assert not fits(found.workgroups + 1)
    assert found.waves == math.ceil(found.workgroups * waves / 4)
    assert found.waves <= min(found.limits.values())
    assert found.limited_by


def test_every_target_that_is_compiled_for_has_rules():
    assert set(WAVE_SIZES) <= set(ARCHITECTURES)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: find_processor("gfx941", 64), "unknown architecture 'gfx941'; nearest: gfx94"),
        (lambda: occupy("gfx942", waves=0), "a workgroup of 0 waves; wanted at least 1"),
    ],
)
def test_what_has_no_occupancy(call, said):
    with pytest.raises(RocmoeError, match=re.escape(said)):
        call()
