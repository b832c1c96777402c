import inspect
from pathlib import Path

import numpy as np
import pytest

from rocmoe.ops.backends import assembly as backend
from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import parse_device
from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.implementation import writes_outputs
from rocmoe.ops.core.inputs import draw_inputs
from rocmoe.ops.core.simulator import CHECKS, Watch
from rocmoe.ops.core.spec import load_op
from rocmoe.ops.core.workbench import Workbench

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
FIXTURES = Path(__file__).parents[1] / "gcn" / "fixtures"
TOP1 = (EXAMPLES / "top1_softmax.toml").read_text()
SPEC = load_op("topk_softmax")
GFX942 = parse_device("sim:gfx942")


def make_case(
    T=5, E=72, k=1, dtype="fp32", renormalize="false", pattern="normal", layout="strided"
):
    word = f"topk_softmax:T={T},E={E},k={k}:{dtype}:renormalize={renormalize}:{pattern}:{layout}"
    return SPEC.check_case(parse_case(word))


@pytest.fixture
def find(tmp_path):
    """The implementation by the example's launch file and code, changed."""
    made = []

    def make(text=TOP1, code=None, name="launch.toml"):
        made.append(name)
        folder = tmp_path / str(len(made))
        folder.mkdir()
        source = (EXAMPLES / "top1_softmax.gfx942.s").read_text()
        (folder / "top1_softmax.gfx942.s").write_text(code(source) if code else source)
        (folder / name).write_text(text)
        return backend.find(SPEC, str(folder / name))

    return make


def call(implementation, case, checks=CHECKS, poison=0):
    bench = Workbench(SPEC, case, implementation.for_case(case), GFX942, Watch(checks))
    inputs = draw_inputs(SPEC, case)
    made = bench.call(inputs, poison)
    faults = [fault for launch in made.launches for fault in launch.faults]
    return SPEC.judge(inputs, made.outputs, dtype=case.dtype, strict=True), faults, made


def test_the_signature_is_the_ops_own_with_outputs(find):
    function = find().function
    wanted = ["gating_output", "topk", "renormalize", "topk_weights", "topk_ids"]
    assert list(inspect.signature(function).parameters) == wanted
    assert writes_outputs(SPEC, function)
    assert function.__name__ == "top1_softmax"


@pytest.mark.parametrize("renormalize", ["true", "false"])
@pytest.mark.parametrize("layout", ["contiguous", "strided", "offset"])
def test_a_kernel_is_right_and_clean(find, renormalize, layout):
    case = make_case(E=300, renormalize=renormalize, layout=layout)
    verdict, faults, made = call(find(), case)
    assert verdict.ok, verdict.findings
    assert faults == []
    assert made.launches[0].kernel == "top1_softmax"


def test_no_tokens_launch_nothing(find):
    verdict, _, made = call(find(), make_case(T=0))
    assert verdict.ok
    assert made.launches == ()


def test_a_wrong_stride_reads_elsewhere(find):
    verdict, _, _ = call(find(TOP1.replace('"stride(gating_output, 0)"', '"E"')), make_case())
    assert not verdict.ok


def test_refusals_name_the_reason(find):
    found = find()
    assert found.devices == ("sim",)
    assert found.find_refusal(make_case(), GFX942) is None
    assert found.find_refusal(make_case(k=2), GFX942).endswith("launch.toml requires k == 1")
    assert found.find_refusal(make_case(dtype="bf16"), GFX942).endswith("requires dtype == 'fp32'")
    other = found.find_refusal(make_case(), parse_device("sim:gfx90a"))
    assert other.endswith("top1_softmax.gfx942.s is code for gfx942, found sim:gfx90a")
    assert "does not run on cpu; it runs on sim" in found.find_refusal(
        make_case(), parse_device("cpu")
    )


BAD = [
    ('tensor = "topk_ids"', 'tensor = "topk_idx"',
     "arguments[1].tensor: found 'topk_idx', wanted a tensor of topk_softmax; nearest: topk_ids"),
    ('tensor = "topk_ids"', 'workspace = "4 * T"', "arguments: found none for output topk_ids"),
    ('tensor = "topk_ids"', 'tensor = "renormalize"', "found 'renormalize', wanted a tensor"),
    ('value = "E"', 'value = "EE"', "arguments[3].value: found 'EE', wanted a size, param or scal"),
    ('"stride(gating_output, 0)"', '"stride(gating, 0)"', "nearest: gating_output"),
    ('["T"]', '["tokens"]', "grid: found 'tokens', wanted a size"),
    ("k == 1", "topk == 1", "requires: found 'topk', wanted a size"),
    ("k == 1", "stride(topk_ids, 0)", "requires: found 'topk_ids', wanted a tensor of topk_soft"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said"), BAD, ids=[each[2][:40] for each in BAD])
def test_what_does_not_fit_the_op(find, old, new, said):
    assert old in TOP1
    with pytest.raises(RocmoeError) as refused:
        find(TOP1.replace(old, new, 1))
    assert said in str(refused.value)


def test_another_op_is_not_served_and_an_unknown_one_is_an_error(find):
    served = TOP1.replace('op = "topk_softmax"', 'op = "topk_sigmoid"')
    assert find(served) is None
    with pytest.raises(RocmoeError, match="unknown op 'topk_softmx'; nearest: topk_softmax"):
        find(TOP1.replace('op = "topk_softmax"', 'op = "topk_softmx"'))
    with pytest.raises(RocmoeError, match="op: missing, so that topk_softmax is not served"):
        backend.find(SPEC, str(EXAMPLES / "reverse.toml"))
    with pytest.raises(RocmoeError, match="wants a launch file: assembly:FILE"):
        backend.find(SPEC, "")


def test_other_code_than_the_file_names(find, tmp_path):
    other = tmp_path / "other.s"
    source = (EXAMPLES / "top1_softmax.gfx942.s").read_text()
    other.write_text(source.replace("v_min3_u32", "v_max3_u32"))
    found = backend.find(SPEC, f"{EXAMPLES / 'top1_softmax.toml'}:{other}")
    assert found.loaded.program.file == str(other)
    verdict, _, _ = call(found, make_case(E=300))
    assert not verdict.ok


def test_a_workspace_is_scratch_memory_that_starts_undefined(find):
    """The kernel's experts are taken from a workspace that nobody wrote: initcheck must say so."""
    text = TOP1.replace(
        '"topk_ids"', '"topk_ids"\n\n[[arguments]]\noffset = 88\nworkspace = "T * 4"'
    )
    read = "    s_load_dwordx2 s[24:25], s[0:1], 0x58\n    s_load_dword s12, s[0:1], 0x50\n"
    spoilt = "    global_load_dword v24, v23, s[24:25]\n    s_waitcnt vmcnt(0)\n"

    def spoil(source):
        source = source.replace("    s_load_dword s12, s[0:1], 0x50\n", read)
        store = "    global_store_dword v23, v24, s[6:7]\n"
        return source.replace(store, spoilt + store)

    verdict, faults, _ = call(find(text, spoil), make_case())
    assert not verdict.ok
    assert {fault.check for fault in faults} == {"initcheck"}
    assert "goes to topk_ids[0, 0]" in faults[0].message
    beyond = spoilt.replace("s[24:25]", "s[24:25] offset:4")
    spoilt = beyond
    _, faults, _ = call(find(text, spoil), make_case(T=3), checks=("memcheck",))
    assert [fault.check for fault in faults] == ["memcheck"]
    assert "past the end of arguments[2].workspace[12]" in faults[0].message


def test_a_code_object_runs_too(tmp_path):
    """A compiled gfx90a object, through llvm-objdump: doubles in place, times 2.5."""
    from rocmoe.ops.core.kernel_launch import load_kernel
    from rocmoe.ops.gcn.objdump import find_objdumps
    from rocmoe.profiles.bare import examine_bare

    if not find_objdumps():
        pytest.skip("no llvm-objdump here")
    (tmp_path / "scale.toml").write_text(
        f"""
code = "{FIXTURES / "scale.gfx90a.hsaco"}"
grid = [1]
block = [64]
arguments = [{{offset = 0, tensor = "x"}}, {{offset = 8, value = "shape(x, 0)", type = "i64"}}]
tensors = [{{name = "x", shape = [40], dtype = "f64", fill = "arange"}}]
"""
    )
    loaded = load_kernel(tmp_path / "scale.toml")
    assert loaded.arch == "gfx90a"
    examined = examine_bare(loaded, Watch(CHECKS))
    assert examined.verdict.ok, examined.verdict
    assert examined.counts["store_bytes"] == 40 * 8


def test_an_optional_input_left_out_is_a_null_pointer():
    launched = {}

    class Loaded:
        kernel = type("Kernel", (), {"name": "k"})

        def run(self, values, tensors):
            launched.update(values=values, tensors=tensors)

    spec = load_op("topk_sigmoid")
    function = backend._make_function(spec, Loaded(), None)
    given = dict.fromkeys(inspect.signature(function).parameters, 1)
    function(**{**given, "correction_bias": None})
    assert launched["tensors"] == {"correction_bias": None}
    assert launched["values"]["topk"] == 1
    assert np.all([name in given for name in launched["values"]])
