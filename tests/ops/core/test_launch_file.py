"""Launch files: what is read, and one line of file, key, found and wanted for all that cannot."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from rocmoe.ops.core.declared_tensors import lay_out, make_contents
from rocmoe.ops.core.element_types import ELEMENTS, decode, encode
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.guard import forget_unwritten
from rocmoe.ops.core.kernel_launch import load_kernel, pack
from rocmoe.ops.core.launch import simulating
from rocmoe.ops.core.launch_file import DeclaredTensor, read_launch_file
from rocmoe.ops.core.simulator import Simulator

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
REVERSE = (EXAMPLES / "reverse.toml").read_text()
TOP1 = (EXAMPLES / "top1_softmax.toml").read_text()


@pytest.fixture
def folder(tmp_path):
    for source in EXAMPLES.glob("*.s"):
        (tmp_path / source.name).write_text(source.read_text())
    return tmp_path


def test_the_example_for_an_op():
    read = read_launch_file(EXAMPLES / "top1_softmax.toml")
    assert (read.op, read.symbol, read.kernarg_bytes) == ("topk_softmax", "top1_softmax", 96)
    assert read.code == EXAMPLES / "top1_softmax.gfx942.s"
    assert [argument.offset for argument in read.arguments] == [0, 16, 32, 48, 64, 80]
    assert [argument.size for argument in read.arguments] == [8, 8, 8, 4, 4, 4]
    assert read.arguments[4].value.tensors == {"gating_output"}
    assert read.lds_bytes.text == "0"


def test_the_example_of_a_bare_kernel():
    read = read_launch_file(EXAMPLES / "reverse.toml")
    assert read.op is None
    assert [(each.name, each.shape, each.strides) for each in read.tensors] == [
        ("x", (4, 256), (256, 1)),
        ("y", (4, 256), (256, 1)),
    ]


BAD = [
    (REVERSE, "block", "blok", "blok: no such key; nearest: block"),
    (REVERSE, "grid = [", "# [", "grid: missing; wanted one to three whole numbers or exp"),
    (REVERSE, "[256]\n", "256\n", "block: found 256, wanted one to three"),
    (REVERSE, "block = [256]", "block = [1, 2, 3, 4]", "block: found [1, 2, 3, 4], wanted one to"),
    (REVERSE, "block = [256]", "block = [true]", "block: found [True], wanted one to three"),
    (REVERSE, "lds_bytes = 1024", "lds_bytes = []", "lds_bytes: found [], wanted a number or"),
    (REVERSE, "shape(x, 0)", "shape(x 0)", "grid: 'shape(x 0)' is no expression"),
    (REVERSE, "shape(x, 0)", "open('x')", "grid: \"open('x')\": unknown function 'open'"),
    (REVERSE, 'code = "rev', 'code = 3 # "', "code: found 3, wanted a text"),
    (REVERSE, "offset = 16", "offset = 4", "arguments[1].tensor: found offset 4, inside arguments"),
    (REVERSE, "offset = 16", "offset = -16", "arguments[1].offset: found -16, wanted a whole"),
    (REVERSE, "offset = 16\n", "", "arguments[1].offset: missing; wanted a whole number"),
    (REVERSE, 'tensor = "y"', "", "arguments[1].offset: found none of them, wanted exactly one"),
    (REVERSE, 'tensor = "y"', 'tensor = "y"\nvalue = 1', "found tensor and value, wanted exactly"),
    (REVERSE, 'tensor = "y"', "value = 1", "arguments[1].type: missing beside value; wanted"),
    (REVERSE, 'tensor = "y"', 'tensor = "y"\ntype = "i32"', "type: found beside tensor; wanted"),
    (REVERSE, 'tensor = "y"', 'value = 1\ntype = "i23"', "one of i32, u32, i64, u64"),
    (REVERSE, 'tensor = "y"', 'tensor = "x"', "tensors[1].name: 'y' is bound by no argument"),
    (REVERSE, 'name = "y"', 'name = "x"', "tensors[1].name: found 'x' twice"),
    (REVERSE, 'dtype = "f32"', 'dtype = "f31"', "dtype: found 'f31', wanted one of"),
    (REVERSE, 'fill = "poison"', 'fill = "posion"', "fill: found 'posion', wanted one of zeros"),
    (REVERSE, "shape = [4, 256]", "shape = [4, -2]", "tensors[0].shape: found [4, -2], wanted"),
    (REVERSE, "[[tensors]]", "[[tensor]]", "tensor: no such key; nearest: tensors"),
    (REVERSE, 'fill = "random"', 'fil = "random"', "tensors[0].fil: no such key; nearest: fill"),
    (REVERSE, "grid", "requires = ['T == 1']\ngrid", "requires: found without op; wanted the op"),
    (TOP1, "op = ", "# ", "cases: found without op"),
    (TOP1, "grid = ", "tensors = [{name='a', shape=[], dtype='f32', fill='ones'}]\ngrid = ",
     "tensors: found beside op; wanted the tensors of topk_softmax alone"),
    (TOP1, "grid = ", "grid == ", "is not TOML: "),
]  # fmt: skip


@pytest.mark.parametrize(("text", "old", "new", "said"), BAD, ids=[each[3][:40] for each in BAD])
def test_what_cannot_be_read(folder, text, old, new, said):
    assert old in text
    path = folder / "launch.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(RocmoeError) as refused:
        read_launch_file(path)
    message = str(refused.value)
    assert said in message
    assert message.startswith(str(path))
    assert "\n" not in message


def test_neither_op_nor_tensors(folder):
    path = folder / "launch.toml"
    path.write_text(REVERSE[: REVERSE.index("[[tensors]]")])
    with pytest.raises(RocmoeError, match=r"op: missing; wanted an op, or .*tensors"):
        read_launch_file(path)


def test_files_that_are_not_there(folder):
    (folder / "launch.toml").write_text(REVERSE.replace("reverse.gfx942.s", "missing.s"))
    with pytest.raises(RocmoeError, match=r"no launch file .*lunch.toml; nearest: launch.toml"):
        read_launch_file(folder / "lunch.toml")
    with pytest.raises(RocmoeError, match=r"code .*missing.s cannot be read: No such file"):
        load_kernel(folder / "launch.toml")


LOADING = [
    ("offset = 16", "offset = 32", "found offset 32 of 8 bytes, past the 32 bytes of kernarg of"),
    ("grid", "kernarg_bytes = 48\ngrid", "kernarg_bytes: found 48, the code of reverse says 32"),
    ("grid", 'symbol = "revers"\ngrid', "nearest: reverse"),
]


@pytest.mark.parametrize(("old", "new", "said"), LOADING, ids=[each[2][:30] for each in LOADING])
def test_what_does_not_fit_the_code(folder, old, new, said):
    path = folder / "launch.toml"
    path.write_text(REVERSE.replace(old, new, 1))
    with pytest.raises(RocmoeError) as refused:
        load_kernel(path)
    assert said in str(refused.value)


def test_kernarg_bytes_limit_offsets_where_the_code_says_nothing(folder):
    code = folder / "reverse.gfx942.s"
    code.write_text(code.read_text().replace(".amdhsa_kernarg_size 32", ""))
    path = folder / "launch.toml"
    path.write_text(REVERSE.replace("grid", "kernarg_bytes = 16\ngrid", 1))
    with pytest.raises(RocmoeError, match="found offset 16 of 8 bytes, past the 16 bytes"):
        load_kernel(path)


def run(path, **tensors):
    loaded = load_kernel(path)
    forget_unwritten()
    with simulating(Simulator(loaded.arch)):
        memories = {each.name: lay_out(each, 0) for each in loaded.file.tensors}
        loaded.run({}, {name: memory.view for name, memory in memories.items()})
    return {
        name: decode(each.read(), each.declared.dtype).reshape(each.declared.shape)
        for name, each in memories.items()
    }


def test_a_bare_kernel_runs(folder):
    (folder / "reverse.toml").write_text(REVERSE)
    done = run(folder / "reverse.toml")
    assert np.array_equal(done["y"], done["x"][:, ::-1])
    assert len(np.unique(done["x"])) > 1000


def test_nothing_runs_on_an_empty_grid(folder):
    (folder / "reverse.toml").write_text(REVERSE.replace('["shape(x, 0)"]', "[0]"))
    assert np.isnan(run(folder / "reverse.toml")["y"]).all()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[256]\nlds", "[2048]\nlds", "block: found 2048 lanes, wanted 1 to 1024"),
        ("[256]\nlds", "[0]\nlds", "block: found 0 lanes"),
        (
            "lds_bytes = 1024",
            "lds_bytes = 65537",
            "found 65537 bytes with the kernel's own; gfx942",
        ),
        ("shape(x, 0)", "shape(x, 0) - 5", "grid: 'shape(x, 0) - 5' is -1; wanted a whole number"),
    ],
)
def test_launches_that_no_gpu_would_take(folder, old, new, said):
    assert old in REVERSE
    (folder / "reverse.toml").write_text(REVERSE.replace(old, new))
    with pytest.raises(RocmoeError) as refused:
        run(folder / "reverse.toml")
    assert said in str(refused.value)


def test_without_a_simulator_it_says_what_is_wanted():
    loaded = load_kernel(EXAMPLES / "reverse.toml")
    with pytest.raises(
        RocmoeError, match="runs in the simulator alone; wanted --device sim:gfx942"
    ):
        loaded.run({}, {})


@pytest.mark.parametrize(
    ("value", "kind", "packed"),
    [
        (-2, "i32", struct.pack("<i", -2)),
        (2**32 - 1, "u32", b"\xff" * 4),
        (-1, "i64", b"\xff" * 8),
        (True, "i32", struct.pack("<i", 1)),
        (3.0, "u64", struct.pack("<Q", 3)),
        (0.1, "f32", struct.pack("<f", 0.1)),
        (0.1, "f64", struct.pack("<d", 0.1)),
        (0.1, "f16", struct.pack("<e", 0.1)),
        # Bits of 1 + 2^-8 lie halfway between two bf16; the even one is 1.0.
        (1 + 2**-8, "bf16", b"\x80\x3f"),
        (1 + 3 * 2**-8, "bf16", b"\x82\x3f"),
    ],
)
def test_scalars_are_packed_as_their_type(value, kind, packed):
    assert pack(value, kind) == packed


@pytest.mark.parametrize(
    ("value", "kind"),
    [(2**31, "i32"), (-1, "u32"), (0.5, "i32"), ("softmax", "i32"), (None, "f32")],
)
def test_scalars_that_do_not_fit(value, kind):
    with pytest.raises(RocmoeError, match=f"{kind}"):
        pack(value, kind)


@pytest.mark.parametrize("dtype", ELEMENTS)
def test_fills(dtype):
    count = 24
    made = {
        fill: make_contents(DeclaredTensor("t", (4, 6), dtype, fill, seed=1))
        for fill in ("zeros", "ones", "arange", "random", "poison")
    }
    assert made.pop("poison") is None
    values = {fill: decode(octets, dtype) for fill, octets in made.items()}
    assert np.array_equal(values["zeros"], np.zeros(count))
    assert np.array_equal(values["ones"], np.ones(count))
    assert np.array_equal(values["arange"], np.arange(count))
    assert len(np.unique(values["random"])) > count // 2
    other = make_contents(DeclaredTensor("t", (4, 6), dtype, "random", seed=2))
    assert not np.array_equal(made["random"], other)


def test_bf16_is_rounded_as_torch_rounds_it():
    values = np.random.default_rng(0).standard_normal(100)
    wanted = torch.from_numpy(values).to(torch.bfloat16).float().numpy()
    assert np.array_equal(decode(encode(values, "bf16"), "bf16"), wanted)
