"""Faults of every kind but races, put into kernels, and the words in which they are reported."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from handwritten import assemble, line, make_launch, make_tensor, poison, run

from rocmoe.ops.gcn.machine.fault import DeadlockError
from rocmoe.ops.gcn.machine.run import Settings, run_launch


def zeros(size: int = 256) -> np.ndarray:
    return np.zeros(size, np.int32)


def tell(faults):
    return [(fault.check, fault.message) for fault in faults]


STORE = "\n global_store_dword v1, v{}, s[4:5]\n"
UNSET = "holds bits that were never set, and"


@pytest.mark.parametrize(
    ("body", "wanted", "where", "place"),
    [
        ("global_load_dword v3, v7, s[4:5]", f"v7 {UNSET} selects where it goes", 1, ", lane 0"),
        ("s_load_dword s8, s[20:21], 0x0", f"s20 {UNSET} selects where it goes", 1, ""),
        ("v_readlane_b32 s8, v1, s20", f"s20 {UNSET} selects where it goes", 1, ""),
        ("ds_read_b32 v3, v7", f"v7 {UNSET} selects where it goes", 1, ", lane 0"),
        ("s_cmp_eq_u32 s20, 0\n s_cbranch_scc1 .Lend", f"scc {UNSET} decides a branch", 2, ""),
        (
            "v_cmp_eq_u32_e32 vcc, 0, v7\n s_nop 4\n s_and_saveexec_b64 s[8:9], vcc",
            f"exec_lo {UNSET} decides which lanes run",
            3,
            "",
        ),
        ("global_store_dword v1, v7, s[4:5]", f"v7 {UNSET} goes to a[0]", 1, ", lane 0"),
        (
            "v_add_u32_e32 v3, v7, v1\n global_store_dword v1, v3, s[4:5]",
            f"v3 {UNSET} goes to a[0]",
            2,
            ", lane 0",
        ),
        (
            "ds_read_b32 v3, v1\n s_waitcnt lgkmcnt(0)\n global_store_dword v1, v3, s[4:5]",
            f"v3 {UNSET} goes to a[0]",
            3,
            ", lane 0",
        ),
    ],
)
def test_what_was_never_set_is_followed_to_its_effect(body, wanted, where, place):
    faults = [f for f in run(f"\n {body}\n.Lend:\n", zeros(), lds=256) if f.check == "initcheck"]
    assert faults[0].message == wanted
    assert faults[0].where.startswith(line(where))
    assert faults[0].place == f"workgroup 0, wave 0{place}"


@pytest.mark.parametrize(
    "body",
    [
        "v_mov_b32_e32 v3, v7",
        "v_add_u32_e32 v3, v7, v1\n v_mul_lo_u32 v4, v3, v3",
        "v_and_b32_e32 v3, 0, v7" + STORE.format(3),
        "v_lshlrev_b32_e32 v3, 16, v7\n v_and_b32_e32 v3, 0xffff, v3" + STORE.format(3),
        "v_and_b32_e32 v3, 0xff, v1\n v_lshl_or_b32 v3, v7, 8, v3\n v_and_b32_e32 v3, 0xff, v3"
        + STORE.format(3),
        "v_mov_b32_e32 v6, 4\n v_mad_u64_u32 v[8:9], s[8:9], v1, 2, v[6:7]" + STORE.format(8),
        "v_lshlrev_b32_e32 v3, 8, v7\n v_add3_u32 v3, v3, v1, 7\n v_and_b32_e32 v3, 0xff, v3"
        + STORE.format(3),
        "v_lshlrev_b32_e32 v3, 8, v7\n v_mul_lo_u32 v3, v3, v1\n v_and_b32_e32 v3, 0xff, v3"
        + STORE.format(3),
        "s_mov_b64 vcc, 0\n v_cndmask_b32_e32 v3, v1, v7, vcc" + STORE.format(3),
        "v_mov_b32_e32 v7, 0\n ds_write_b32 v1, v7\n s_waitcnt lgkmcnt(0)\n ds_read_b32 v3, v1\n"
        "s_waitcnt lgkmcnt(0)" + STORE.format(3),
        "ds_read_b32 v3, v1\n s_waitcnt lgkmcnt(0)\n v_mov_b32_e32 v3, 0" + STORE.format(3),
        "s_mov_b64 s[8:9], exec\n s_mov_b64 exec, 1\n v_mov_b32_e32 v7, 0" + STORE.format(7),
    ],
)
def test_what_was_never_set_and_has_no_effect_is_nothing(body):
    assert tell(run(f"\n {body}\n", zeros(), lds=256)) == []


def test_a_register_that_is_set_in_some_lanes_alone():
    body = """
    s_mov_b64 s[8:9], exec
    s_mov_b64 exec, 0xff
    v_mov_b32_e32 v7, 0
    s_mov_b64 exec, s[8:9]
    """ + STORE.format(7)
    (fault,) = run(body, zeros())
    assert (fault.place, fault.count) == ("workgroup 0, wave 0, lane 8", 56)
    assert fault.message == f"v7 {UNSET} goes to a[8]"


def test_memory_that_nobody_wrote():
    body = """
    global_load_dword v3, v1, s[4:5]
    s_waitcnt vmcnt(0)
    v_add_u32_e32 v3, 1, v3
    global_store_dword v1, v3, s[6:7]
    """
    (fault,) = run(body, poison(64), zeros().reshape(16, 16))
    assert (fault.check, fault.message) == ("initcheck", f"v3 {UNSET} goes to b[0, 0]")
    assert (fault.where[:7], fault.count) == (line(4), 64)
    first = "\n global_store_dword v1, v0, s[4:5]\n s_waitcnt vmcnt(0)\n"
    assert run(first + body, poison(64), zeros()) == [], "it is stored first"
    assert run(body.replace("global_store", "; global_store"), poison(64), zeros()) == []


def test_values_that_look_like_what_was_never_written():
    memory = poison(64)
    memory[:] = 0x00007FFF  # half of it is the poison's pattern
    body = "\n global_load_dword v3, v1, s[4:5]\n s_waitcnt vmcnt(0)\n" + STORE.format(3)
    assert run(body, memory) == []
    address, size = memory.ctypes.data, memory.nbytes
    del memory
    with_same_address = (np.full(64, 0x7FFF7FFF, np.int32) for _ in range(50))
    kept = [each for each in with_same_address if each.ctypes.data == address]
    assert all(run(body, each) == [] for each in kept), f"{size} bytes that are another's now"


@pytest.mark.parametrize(
    ("body", "wanted", "lane", "count"),
    [
        (
            "global_load_dword v3, v1, s[4:5] offset:32",
            "load of 4 bytes at {a+256}: 4 bytes past the end of a[8, 8]",
            56,
            8,
        ),
        (
            "global_store_dword v1, v0, s[4:5] offset:-4",
            "store of 4 bytes at {a-4}: 4 bytes before the start of a[8, 8]",
            0,
            1,
        ),
        (
            "ds_write_b32 v1, v0 offset:16",
            "LDS write of 4 bytes at 256, of which the workgroup has 256",
            60,
            4,
        ),
        (
            "ds_read_b64 v[4:5], v1 offset:252",
            "LDS read of 8 bytes at 252, of which the workgroup has 256",
            0,
            64,
        ),
    ],
)
def test_out_of_bounds(body, wanted, lane, count):
    a = zeros(64).reshape(8, 8)
    faults = run(f"\n {body}\n", a, lds=256)
    (fault,) = [fault for fault in faults if fault.check == "memcheck"]
    address = int(fault.message.split(" at ")[1].split(":")[0], 16) if "0x" in fault.message else 0
    start = {"{a+256}": 256, "{a-4}": -4}
    for key, distance in start.items():
        assert key not in wanted or (address - distance) % 16 == a.ctypes.data % 16
        wanted = wanted.replace(key, f"{address:#x}")
    assert (fault.message, fault.count) == (wanted, count)
    assert fault.place == f"workgroup 0, wave 0, lane {lane}"
    assert fault.where.startswith(line(1))


def test_wait_states_that_are_missing():
    body = """
    v_readfirstlane_b32 s8, v1
    {}
    v_readlane_b32 s9, v1, s8
    s_nop 3
    v_mov_b32_e32 v3, s9
    """ + STORE.format(3)
    assert run(body.format("s_nop 3"), zeros()) == []
    faults = run(body.format("s_nop 1"), zeros())
    assert [fault.check for fault in faults] == ["hazardcheck"]
    assert faults[0].where.startswith(line(3))
    assert "v_readfirstlane_b32 s8, v1" in faults[0].message


SKIP = """
    s_cmp_lg_u32 s3, {}
    s_cbranch_scc1 .Lgo
    {}
.Lgo:
    s_barrier
"""


def launch(body: str, waves: int, max_steps: int = 2000):
    program = assemble(body)
    given = make_launch((make_tensor("a", zeros()),), waves=waves)
    return run_launch(program, program.kernel(), given, Settings(max_steps=max_steps))


def test_a_wave_that_never_comes_to_the_barrier():
    report = launch(SKIP.format(2, ".Lspin:\n s_branch .Lspin"), waves=4)
    (fault,) = report.faults.listing()
    assert (fault.check, fault.workgroup, fault.wave) == ("synccheck", 0, 0)
    assert report.program.instructions[fault.index].name == "s_barrier"
    assert fault.message == (
        "waits at the barrier for wave 2, which never arrives: it is at k.s:13: s_branch .Lspin"
    )


def test_waves_that_ended_are_not_waited_for():
    assert launch(SKIP.format(2, "s_endpgm"), waves=4).faults.listing() == ()
    with pytest.raises(DeadlockError, match=r"no end after 2000 .* k.s:11: s_branch .Lspin"):
        launch("\n.Lspin:\n s_branch .Lspin\n", waves=1)


def test_what_only_the_order_of_waves_reveals():
    """Waves take numbers from an atomic counter: nothing is wrong but that it is not one's own."""
    body = """
    v_mov_b32_e32 v3, 0
    v_mov_b32_e32 v4, 1
    s_mov_b64 exec, 1
    global_atomic_add v5, v3, v4, s[4:5] sc0
    s_waitcnt vmcnt(0)
    global_store_dword v1, v5, s[6:7]
    """
    numbers = {}
    for order in ("together", "first", "last"):
        counter, taken = zeros(), zeros()
        assert run(body, counter, taken, waves=4, order=order) == []
        numbers[order] = taken[::64].tolist()
    assert numbers == {"together": [0, 1, 2, 3], "first": [0, 1, 2, 3], "last": [3, 2, 1, 0]}


class TestTritonKernels:
    """Findings name the line of the kernel's source, and the element."""

    @pytest.fixture(autouse=True)
    def _triton(self):
        pytest.importorskip("triton", reason="triton is not installed")

    def sanitize(self, name, grid=None, **arguments):
        from portable_cases import CASES

        from rocmoe.ops.core.launch import simulating
        from rocmoe.ops.core.simulator import CHECKS, Simulator, Watch

        case = CASES[name]()
        case = replace(case, arguments=case.arguments | arguments, grid=grid or case.grid)
        simulator = Simulator("gfx942", Watch(CHECKS, counts=False))
        with simulating(simulator):
            case.run()
        (simulated,) = simulator.take()
        return simulated.faults

    def check(self, fault, wanted, source, place, count):
        assert fault.check == "memcheck"
        assert fault.message.split(": ", 1)[1] == wanted
        assert f"portable_kernels.py:{source})" in fault.where
        assert (fault.place, fault.count) == (place, count)

    def test_no_mask(self):
        import torch

        x, y = (torch.zeros(1, 500, dtype=torch.int32) for _ in range(2))
        load, store = self.sanitize("sort_row", x=x, y=y)
        place = "workgroup 0, wave 3, lane 58"
        self.check(load, "8 bytes past the end of x[1, 500]", "22:34", place, 6)
        self.check(store, "8 bytes past the end of y[1, 500]", "22:5", place, 6)

    def test_a_workgroup_too_many(self):
        load, *stores = self.sanitize("reduce_row", grid=4)
        place = "workgroup 3, wave 0, lane 0"
        self.check(load, "16 bytes past the end of x[3, 1024]", "13:14", place, 256)
        self.check(stores[0], "4 bytes past the end of total[3]", "14:5", place, 1)
        self.check(stores[1], "4 bytes past the end of largest[3]", "15:5", place, 1)

    def test_an_input_that_nobody_wrote(self):
        import torch

        from rocmoe.ops.core.guard import poisoned_allocations

        with poisoned_allocations(0):
            x = torch.empty(2, 1024, dtype=torch.int32)
        x[:, :1000] = 1
        (fault,) = self.sanitize("scan_row", x=x)
        assert fault.check == "initcheck"
        assert fault.message.endswith("holds bits that were never set, and goes to y[0, 1000]")
        assert "portable_kernels.py:39:5)" in fault.where
        assert fault.place == "workgroup 0, wave 3, lane 58"
