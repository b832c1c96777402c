import json
import os
import struct
import subprocess
import sys

import numpy as np
import pytest

triton = pytest.importorskip("triton", reason="triton is not installed")
import torch  # noqa: E402
import triton.language as tl  # noqa: E402

from rocmoe.ops.core.compilation import Parameter, compile_kernel  # noqa: E402
from rocmoe.ops.core.errors import RocmoeError  # noqa: E402
from rocmoe.ops.core.kernarg import make_launch, pack_value, view_storage  # noqa: E402
from rocmoe.ops.core.launch import launch, recording, simulating  # noqa: E402
from rocmoe.ops.gcn.assembly import read_metadata, read_program  # noqa: E402
from rocmoe.ops.gcn.machine.launch import Tensor  # noqa: E402

SIMULATED = ("gfx90a", "gfx942", "gfx950")


@triton.jit
def scale(x, y, n, stride, factor, bias, flag, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    values = tl.load(x + offsets * stride, mask=offsets < n, other=0.0).to(tl.float32) * factor
    if bias is not None:
        values += tl.load(bias + offsets, mask=offsets < n, other=0.0)
    if flag:
        values = -values
    tl.store(y + offsets, values, mask=offsets < n)


@triton.jit
def reduce_tiles(x, y, BLOCK: tl.constexpr):
    """A transposed sum, which goes through LDS."""
    rows, columns = tl.arange(0, BLOCK)[:, None], tl.arange(0, BLOCK)[None, :]
    tile = tl.load(x + rows * BLOCK + columns)
    tl.store(y + columns * BLOCK + rows, tile)


@triton.jit
def add_all(x, values, y):
    tl.store(y, tl.load(x) + values[0] + values[1])


def give(x=None, y=None, **changed):
    """Arguments for `scale` on 1024 elements."""
    x = torch.zeros(1024) if x is None else x
    y = torch.full((1024,), 7.0) if y is None else y
    arguments = {"n": 1024, "stride": 1, "factor": 0.5, "bias": None, "flag": True, "BLOCK": 1024}
    return {"x": x, "y": y, **arguments, **changed}


def compile_scale(arch="gfx942", **changed):
    options = {"num_warps": 1, "enable_fp_fusion": True}
    return compile_kernel(scale, arch, give(**changed), options)


def list_memory(compiled):
    program = read_program(compiled.assembly)
    words = [each.mnemonic for each in program.body(program.kernel())]
    return {w.partition("_")[2] for w in words if w.startswith(("buffer_", "global_"))}


@triton.jit
def store(y, VALUE: tl.constexpr):
    tl.store(y, VALUE)


class Listener:
    """An executor that keeps what it was given."""

    def __init__(self, arch="gfx942"):
        self.arch, self.launches = arch, []

    def launch(self, compiled, grid, arguments, /):
        self.launches.append((compiled, grid, arguments))


@pytest.mark.parametrize("arch", SIMULATED)
def test_aligned_tensors_of_unit_stride_are_moved_16_bytes_at_a_time(arch):
    assert list_memory(compile_scale(arch)) == {"load_dwordx4", "store_dwordx4"}


@pytest.mark.parametrize("arch", SIMULATED)
@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"x": torch.zeros(1025)[1:]}, {"load_dword", "store_dwordx4"}),
        ({"y": torch.zeros(1027)[3:]}, {"load_dwordx4", "store_dword"}),
        ({"x": torch.zeros(1028)[4:]}, {"load_dwordx4", "store_dwordx4"}),
        ({"stride": 2, "x": torch.zeros(2048)}, {"load_dword", "store_dwordx4"}),
        ({"n": 1023}, {"load_dword", "store_dword"}),
        ({"n": 1008}, {"load_dwordx4", "store_dwordx4"}),
    ],
    ids=["x unaligned", "y unaligned", "x 16 bytes in", "stride 2", "n odd", "n of 16"],
)
def test_what_is_not_aligned_or_divisible_is_moved_in_smaller_parts(arch, changed, wanted):
    assert list_memory(compile_scale(arch, **changed)) == wanted


def test_where_the_host_happens_to_lay_a_storage_does_not_change_the_code():
    octets = np.zeros(4096 + 64, np.uint8)
    start = (-octets.ctypes.data) % 16 + 4
    shifted = torch.from_numpy(octets[start : start + 4096]).view(torch.float32)
    assert shifted.data_ptr() % 16 == 4
    assert compile_scale(x=shifted) is compile_scale()


def test_tensors_past_two_gigabytes_are_addressed_with_64_bits():
    huge = torch.empty(2**29 + 1, device="meta")
    assert "buffer_load" in compile_scale().assembly
    assert "buffer_load" not in compile_scale(x=huge).assembly
    assert "global_load_dwordx4" in compile_scale(x=huge).assembly


def test_parameters_are_those_that_did_not_become_constants():
    def types(**changed):
        return {p.name: p.type for p in compile_scale(**changed).parameters}

    given = {"x": "*fp32", "y": "*fp32", "n": "i32", "factor": "fp32", "flag": "u1"}
    assert types() == given
    assert types(stride=16) == {**given, "stride": "i32"}
    assert types(stride=2**31) == {**given, "stride": "i64"}
    assert types(stride=2**63) == {**given, "stride": "u64"}
    assert types(bias=torch.zeros(1024)) == {**given, "bias": "*fp32"}
    assert types(factor=1) == {name: kind for name, kind in given.items() if name != "factor"}
    assert types(x=torch.zeros(1024, dtype=torch.bfloat16)) == {**given, "x": "*bf16"}


@pytest.mark.parametrize("arch", [*SIMULATED, "gfx1100", "gfx1201"])
def test_parameters_lie_at_their_natural_alignment_as_the_metadata_says(arch):
    compiled = compile_scale(arch, stride=2**40, n=1000, bias=torch.zeros(1024))
    sizes = {"x": 8, "y": 8, "n": 4, "stride": 8, "factor": 4, "bias": 8, "flag": 1}
    assert {p.name: p.size for p in compiled.parameters} == sizes
    end = 0
    for parameter in compiled.parameters:
        end = -(-end // parameter.size) * parameter.size
        assert parameter.offset == end, parameter
        end += parameter.size
    (metadata,) = read_metadata(compiled.assembly)
    assert metadata.wavefront_size == compiled.wave_size == (64 if arch in SIMULATED else 32)
    assert metadata.kernarg_segment_size >= end


def test_code_is_complete_and_carries_source_lines():
    compiled = compile_scale()
    assert (compiled.name, compiled.arch, compiled.block) == ("scale", "gfx942", (64, 1, 1))
    assert compiled.code_object.startswith(b"\x7fELF")
    assert compiled.triton_version == triton.__version__
    program = read_program(compiled.assembly)
    lines = {i.source.file.rpartition("/")[2] for i in program.instructions if i.source}
    assert "test_launch.py" in lines


def test_the_same_specialisation_is_compiled_once():
    assert compile_scale(n=1008) is compile_scale(n=16)
    assert compile_scale(n=1007) is not compile_scale(n=16)
    assert compile_scale(arch="gfx90a") is not compile_scale()


def test_constants_that_are_equal_and_of_other_types_are_kept_apart():
    options = {"num_warps": 1, "enable_fp_fusion": True}
    made = [compile_kernel(store, "gfx942", give_store(v), options) for v in (1, 1.0, True, 1)]
    assert made[0] is made[3]
    assert len({id(compiled) for compiled in made}) == 3


def give_store(value):
    return {"y": torch.zeros(4), "VALUE": value}


COMPILE = """
import json, sys
import triton
from pathlib import Path
from rocmoe.ops.core.launch import launch, recording

hits = []
triton.knobs.compilation.listener = lambda **told: hits.append(told["cache_hit"])
import kernel_of_one_store
with recording("gfx942") as launches:
    for stride in (16, 32, 48, 5):
        launch(kernel_of_one_store.kernel, (1,), address=stride, value=3, num_warps=1)
print(json.dumps([hits, len(launches), "torch" in sys.modules]))
"""

KERNEL = """
import triton
import triton.language as tl

@triton.jit
def kernel(address, value):
    tl.store(address.to(tl.int64).to(tl.pointer_type(tl.int32)), value)
"""


def test_a_second_process_finds_the_code_on_disk(tmp_path):
    (tmp_path / "kernel_of_one_store.py").write_text(KERNEL)
    environment = {
        **os.environ,
        "TRITON_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
    }

    def run():
        command = [sys.executable, "-W", "error", "-c", COMPILE]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    assert run() == [[False, False], 4, False], "16, 32 and 48 are one specialisation, 5 another"
    assert run() == [[True, True], 4, False]


@pytest.mark.parametrize("arch", [*SIMULATED, "gfx1100", "gfx1201"])
def test_recording_compiles_and_runs_nothing(arch):
    arguments = give()
    before = dict(os.environ)
    with recording(arch) as launches:
        launch(scale, (2, 3), **arguments, num_warps=2)
        launch(scale, (5,), **arguments, num_stages=1)
        launch(scale, (5, 0, 2), **arguments)
    assert dict(os.environ) == before, "nothing leaks into the user's environment"
    wave = 64 if arch in SIMULATED else 32
    assert [(r.compiled.arch, r.grid, r.block) for r in launches] == [
        (arch, (2, 3, 1), (2 * wave, 1, 1)),
        (arch, (5, 1, 1), (4 * wave, 1, 1)),
    ]
    assert bool((arguments["y"] == 7).all())


def test_launches_go_to_the_innermost_executor():
    outer, inner = Listener("gfx90a"), Listener("gfx950")
    with simulating(outer):
        with pytest.raises(ZeroDivisionError):
            fail_inside(inner)
        launch(scale, (4,), **give())
    assert [(c.arch, grid) for c, grid, _ in inner.launches] == [("gfx950", (1, 1, 1))]
    assert [(c.arch, grid) for c, grid, _ in outer.launches] == [("gfx90a", (4, 1, 1))]
    assert outer.launches[0][2]["BLOCK"] == 1024


def fail_inside(executor):
    with simulating(executor):
        launch(scale, (1,), **give())
        raise ZeroDivisionError


def test_slots_hold_the_bytes_of_the_arguments():
    arguments = give(n=1000, stride=2**40 + 3, factor=0.1)
    compiled = compile_scale(n=1000, stride=2**40 + 3, factor=0.1)
    made = make_launch(compiled, (2, 1, 1), arguments)
    assert (made.grid, made.block, made.lds_bytes) == ((2, 1, 1), (64, 1, 1), 0)
    segment = bytearray(64)
    for slot in made.slots:
        if isinstance(slot.value, bytes):
            segment[slot.offset : slot.offset + len(slot.value)] = slot.value
    n, stride, factor, flag = struct.unpack_from("<i4xqf?", segment, 16)
    assert (n, stride, flag) == (1000, 2**40 + 3, True)
    assert factor == np.float32(0.1)


def test_tensors_share_the_memory_of_their_storage():
    whole = torch.arange(4096, dtype=torch.float32)
    x, y = whole[8:1032], whole.view(64, 64)[32:, 1:33]
    bias = torch.zeros(1024)
    arguments = give(x=x, y=y, bias=bias)
    made = make_launch(compile_scale(x=x, y=y, bias=bias), (1, 1, 1), arguments)
    tensors = {s.value.name: s.value for s in made.slots if isinstance(s.value, Tensor)}
    assert list(tensors) == ["x", "y", "bias"]
    assert tensors["x"].memory is tensors["y"].memory
    assert tensors["bias"].memory is not tensors["x"].memory
    assert (tensors["x"].offset, tensors["x"].shape, tensors["x"].strides) == (32, (1024,), (1,))
    assert (tensors["y"].offset, tensors["y"].shape) == ((32 * 64 + 1) * 4, (32, 32))
    assert (tensors["y"].strides, tensors["y"].itemsize) == ((64, 1), 4)
    assert len(tensors["y"].memory) == 4096 * 4
    tensors["y"].memory[tensors["y"].offset :][:4] = np.frombuffer(struct.pack("<f", -5.0), "u1")
    assert y[0, 0] == -5 == whole[32 * 64 + 1], "written in place"


def test_empty_tensors_share_nothing():
    x, y = torch.zeros(0), torch.zeros(0)
    made = make_launch(compile_scale(x=x, y=y), (1, 1, 1), give(x=x, y=y))
    first, second = (s.value for s in made.slots if isinstance(s.value, Tensor))
    assert first.memory.size == second.memory.size == 0
    assert first.memory is not second.memory


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.bool, torch.int64])
def test_a_storage_is_seen_as_its_bytes(dtype):
    tensor = torch.ones(6, dtype=dtype)
    octets = view_storage(tensor[2:])
    assert octets.dtype == np.uint8
    assert octets.tobytes() == tensor.view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize(
    ("kind", "size", "value", "wanted"),
    [
        ("i32", 4, -2, "<i"),
        ("i64", 8, -(2**40), "<q"),
        ("u64", 8, 2**63 + 1, "<Q"),
        ("u1", 1, True, "<?"),
        ("i8", 1, -3, "<b"),
        ("fp32", 4, 0.1, "<f"),
        ("fp16", 2, 0.1, "<e"),
        ("fp64", 8, 0.1, "<d"),
    ],
)
def test_scalars_are_packed_by_their_types(kind, size, value, wanted):
    assert pack_value(Parameter("a", kind, 0, size), value) == struct.pack(wanted, value)


def test_floats_past_the_largest_are_infinite_and_bf16_is_cut():
    assert pack_value(Parameter("a", "fp32", 0, 4), 1e300) == struct.pack("<f", float("inf"))
    assert pack_value(Parameter("a", "bf16", 0, 2), -1.5) == b"\xc0\xbf"


def test_lds_is_what_the_launch_gives():
    x, y = torch.zeros(32, 32), torch.zeros(32, 32)
    with recording("gfx942") as launches:
        launch(reduce_tiles, (1,), x=x, y=y, BLOCK=32)
    (recorded,) = launches
    made = make_launch(recorded.compiled, recorded.grid, {"x": x, "y": y})
    assert made.lds_bytes == recorded.compiled.lds_bytes > 0
    assert made.block == (256, 1, 1)


@pytest.mark.parametrize(
    ("arch", "BLOCK", "message"),
    [
        ("gfx942", 256, r"reduce_tiles wants \d+ bytes of LDS; gfx942 has 65536"),
        ("gfx950", 256, r"reduce_tiles wants \d+ bytes of LDS; gfx950 has 163840"),
    ],
)
def test_a_launch_that_no_gpu_can_hold_is_refused(arch, BLOCK, message):
    x, y = torch.zeros(BLOCK, BLOCK), torch.zeros(BLOCK, BLOCK)
    options = {"num_warps": 8, "enable_fp_fusion": True}
    compiled = compile_kernel(reduce_tiles, arch, {"x": x, "y": y, "BLOCK": BLOCK}, options)
    with pytest.raises(RocmoeError, match=message):
        make_launch(compiled, (1, 1, 1), {"x": x, "y": y})


def test_tensors_elsewhere_than_on_the_cpu_are_not_simulated():
    x = torch.zeros(1024, device="meta")
    with pytest.raises(RocmoeError, match="argument 'x' of scale is on meta; the simulator reads"):
        make_launch(compile_scale(x=x), (1, 1, 1), give(x=x))


def test_cpu_tensors_need_something_that_runs_them():
    wanted = "kernel scale cannot run: x is on cpu; wanted a GPU or --device sim:ARCH"
    with pytest.raises(RocmoeError, match=wanted):
        launch(scale, (1,), **give())


def test_a_wrong_argument_is_named():
    with pytest.raises(RocmoeError, match="argument of kernel scale 'factr'; nearest: factor"):
        launch(scale, (1,), **give(), factr=2)
    with pytest.raises(RocmoeError, match=r"grid \(1, 2, 3, 4\) of kernel scale; wanted one to"):
        launch(scale, (1, 2, 3, 4), **give())
    with pytest.raises(RocmoeError, match=r"grid \(-1,\) of kernel scale"):
        launch(scale, (-1,), **give())


@pytest.mark.parametrize("grid", [(7 / 2,), 4, ("4",)])
def test_a_grid_of_no_whole_numbers_is_named(grid):
    arguments = give()
    with recording("gfx942"), pytest.raises(RocmoeError, match="wanted a list of whole numbers"):
        scale[grid](*arguments.values())


def test_one_configuration_is_taken_and_several_cannot_be_timed():
    arguments = {name: value for name, value in give().items() if name != "BLOCK"}
    one, other = triton.Config({"BLOCK": 1024}, num_warps=2), triton.Config({"BLOCK": 512})
    with recording("gfx942") as launches:
        triton.autotune([one], key=["n"])(scale)[(1,)](**arguments)
        with pytest.raises(RocmoeError, match="kernel scale is autotuned among 2 configurations"):
            triton.autotune([one, other], key=["n"])(scale)[(1,)](**arguments)
    assert [each.compiled.num_warps for each in launches] == [2]


def test_what_cannot_be_compiled_here_is_named():
    with (
        pytest.raises(RocmoeError, match="unknown architecture 'gfx94'; nearest: gfx942"),
        recording("gfx94"),
    ):
        launch(scale, (1,), **give())
    y = torch.zeros(1)
    with (
        pytest.raises(RocmoeError, match="argument 'values' of kernel add_all is a tuple"),
        recording("gfx942"),
    ):
        launch(add_all, (1,), x=y, values=(2.5, 3), y=y)
    tuned = triton.heuristics({"BLOCK": lambda given: 1024})(scale)
    with (
        pytest.raises(RocmoeError, match="a Heuristics cannot be compiled with no GPU"),
        recording("gfx942"),
    ):
        launch(tuned, (1,), **give())


def test_an_architecture_forced_from_outside_is_refused(monkeypatch):
    monkeypatch.setenv("TRITON_OVERRIDE_ARCH", "gfx90a")
    wanted = "triton compiled for gfx90a, wanted gfx942; unset TRITON_OVERRIDE_ARCH"
    with pytest.raises(RocmoeError, match=wanted), recording("gfx942"):
        launch(store, (1,), **give_store(2.5))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_tensors_on_a_gpu_are_launched_there():
    x = torch.arange(1024, dtype=torch.float32, device="cuda")
    y = torch.zeros(1024, device="cuda")
    launch(scale, (1,), **give(x=x, y=y))
    assert torch.equal(y, -x / 2)
