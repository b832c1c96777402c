"""FlyDSL's launchers in the simulator, with stand-ins for its compiler: code made by Triton, and
host code in Python that calls the runtime as FlyDSL's calls HIP."""

import ctypes
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from rocmoe.ops.backends.flydsl import LIBRARY, simulation
from rocmoe.ops.backends.flydsl.host_runtime import HostRuntime
from rocmoe.ops.backends.flydsl.simulated_launch import simulate
from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.compilation import compile_kernel
from rocmoe.ops.core.device import parse_device
from rocmoe.ops.core.errors import CandidateError, RocmoeError
from rocmoe.ops.core.launch import recording
from rocmoe.ops.core.simulator import Simulator
from rocmoe.ops.core.spec import load_op
from rocmoe.ops.gcn.machine.fault import UnsupportedError
from rocmoe.ops.gcn.objdump import find_objdumps
from rocmoe.profiles.examination import examine

triton = pytest.importorskip("triton")
tl = pytest.importorskip("triton.language")
pytestmark = pytest.mark.skipif(not find_objdumps(), reason="no llvm-objdump is installed")

SCALE = Path(__file__).parents[1] / "gcn" / "fixtures" / "scale.gfx90a.hsaco"
SPEC = load_op("topk_softmax")
GFX942 = parse_device("sim:gfx942")
OPTIONS = {"num_warps": 4, "enable_fp_fusion": True}


@triton.jit
def top1_kernel(logits, weights, ids, stride, E, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    columns = tl.arange(0, BLOCK)
    x = tl.load(logits + row * stride + columns, mask=columns < E, other=float("-inf"))
    best = tl.max(x, 0)
    tl.store(weights + row, 1 / tl.sum(tl.exp(x - best), 0))
    tl.store(ids + row, tl.min(tl.where(x == best, columns, BLOCK), 0))


class Engine:
    """As MLIR's: code finds the functions that are registered by their names."""

    def __init__(self, module, *, opt_level, shared_libs):
        assert opt_level == 3
        self.module, self.libraries, self.registered = module, shared_libs, {}

    def raw_register_runtime(self, name, pointer):
        self.registered[name] = pointer.value

    def call(self, name, returns, *given):
        takes = [type(each) for each in given]
        return ctypes.CFUNCTYPE(returns, *takes)(self.registered[name])(*given)


class CallState:
    """As FlyDSL's: called with the arguments of its launcher."""

    def __init__(self, host_code):
        self.host_code = host_code

    def __call__(self, arguments):
        engine = sys.modules[simulation.EXECUTOR].ExecutionEngine(
            "module", opt_level=3, shared_libs=["/x/libfly_jit_runtime.so", "/x/libm.so"]
        )
        assert engine.libraries == ["/x/libm.so"]
        self.host_code(engine, *arguments)


def launch(engine, code, name, grid, block, lds_bytes, values):
    """What compiled host code does; values: ctypes, in the order of the kernel's arguments."""
    size, stream = ctypes.c_ssize_t, ctypes.c_void_p(None)
    load = (ctypes.cast(ctypes.c_char_p(code), ctypes.c_void_p), ctypes.c_size_t(len(code)))
    module = engine.call("mgpuModuleLoad", ctypes.c_void_p, *load)
    named = (ctypes.c_void_p(module), ctypes.c_char_p(name))
    function = engine.call("mgpuModuleGetFunction", ctypes.c_void_p, *named)
    addresses = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
    engine.call(
        "mgpuLaunchKernel", None, ctypes.c_void_p(function), *map(size, (*grid, *block)),
        ctypes.c_int32(lds_bytes), stream, ctypes.c_void_p(ctypes.addressof(addresses)), stream,
        ctypes.c_size_t(len(values)),
    )  # fmt: skip


def point_to(tensor):
    return ctypes.c_void_p(tensor.data_ptr())


def compile_top1(given, launched):
    """Host code of a launcher: row i of the grid, and FlyDSL's wrapper around the first tensor."""
    logits, weights, ids, stride, experts = given
    arguments = {"logits": logits, "weights": weights, "ids": ids}
    arguments |= {"stride": stride, "E": experts, "BLOCK": 256}
    compiled = compile_kernel(top1_kernel, "gfx942", arguments, OPTIONS)
    launched.update(
        arch=os.environ["FLYDSL_GPU_ARCH"], ARCH=os.environ["ARCH"], compiled=compiled,
        linker=(Path(os.environ["ROCM_PATH"]) / "llvm/bin/ld.lld").exists(),
        units=torch.cuda.get_device_properties(0).multi_processor_count,
    )  # fmt: skip
    kinds = {"i32": ctypes.c_int32, "i64": ctypes.c_int64}
    values = [
        point_to(arguments[p.name]) if p.type[0] == "*" else kinds[p.type](arguments[p.name])
        for p in compiled.parameters
    ]
    values += [ctypes.c_void_p(None)] * 2  # Triton's own scratch

    def host_code(engine, *_):
        name, grid = compiled.name.encode(), (logits.shape[0], 1, 1)
        block, lds_bytes = compiled.block, compiled.lds_bytes
        launch(engine, compiled.code_object, name, grid, block, lds_bytes, values)

    return host_code


@pytest.fixture
def flydsl(monkeypatch, tmp_path):
    """A checkout and a compiler with one kernel; what the launcher met."""
    launched, change = {}, {}

    def build_topk_gating_softmax_module(num_experts, topk, dtype_str="f32", renormalize=True):
        def run(logits, weights, ids, indices, tokens, stream):
            given = (logits, weights, ids, change.get("stride", num_experts), num_experts)
            state = sys.modules[simulation.EXECUTOR].CallState(compile_top1(given, launched))
            state((SimpleNamespace(torch_tensor=logits), weights, ids, tokens, stream))

        return run

    modules = {
        "flydsl": {},
        "flydsl.compiler": {},
        simulation.EXECUTOR: {"ExecutionEngine": Engine, "CallState": CallState},
        "flydsl.runtime": {},
        "flydsl.runtime.device": {"get_warp_size": lambda: change.get("lanes", 64)},
        "kernels": {},
        "kernels.moe": {},
        "kernels.moe.topk_gating_softmax_kernel": {
            "build_topk_gating_softmax_module": build_topk_gating_softmax_module
        },
    }
    for name, attributes in modules.items():
        module = ModuleType(name)
        vars(module).update(attributes)
        monkeypatch.setitem(sys.modules, name, module)
    bin_folder = tmp_path / "llvm" / "bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / "ld.lld").touch()
    monkeypatch.setenv("ROCM_PATH", str(tmp_path))
    monkeypatch.delenv("ARCH", raising=False)
    monkeypatch.delenv("FLYDSL_GPU_ARCH", raising=False)
    monkeypatch.setattr(simulation, "_compiled_for", set())
    return SimpleNamespace(launched=launched, change=change)


def make_case(T=5, E=256, layout="contiguous"):
    word = f"topk_softmax:T={T},E={E},k=1:fp32:renormalize=false:normal:{layout}"
    return SPEC.check_case(parse_case(word))


def test_a_launcher_is_judged_on_the_simulator(flydsl):
    found = LIBRARY.find(SPEC, "")
    case = make_case()
    assert found.find_refusal(case, GFX942) is None
    examined = examine(SPEC, case, found, GFX942, strict=True)
    assert examined.verdict.ok, examined.verdict.findings
    assert examined.variants == ("flydsl.topk_gating_softmax",)
    assert examined.counts["store_bytes"] == 5 * 8
    assert flydsl.launched["compiled"].lds_bytes > 0  # and so was given at the launch
    assert (flydsl.launched["arch"], flydsl.launched["ARCH"]) == ("gfx942", "gfx942")
    assert flydsl.launched["linker"]
    assert flydsl.launched["units"] == 304


def test_afterwards_all_is_as_before(flydsl):
    executor = sys.modules[simulation.EXECUTOR]
    before = (executor.ExecutionEngine, executor.CallState.__call__, torch.cuda.current_stream)
    examine(SPEC, make_case(), LIBRARY.find(SPEC, ""), GFX942, strict=False)
    after = (executor.ExecutionEngine, executor.CallState.__call__, torch.cuda.current_stream)
    assert before == after
    assert not {"ARCH", "FLYDSL_GPU_ARCH"} & set(os.environ)


def test_what_a_kernel_does_wrong_is_found(flydsl):
    flydsl.change["stride"] = 512
    examined = examine(SPEC, make_case(), LIBRARY.find(SPEC, ""), GFX942, strict=False)
    assert "memcheck" in examined.verdict.failed
    assert any("gating_output" in finding.found for finding in examined.verdict.findings)


def test_what_cannot_be_simulated_is_refused(flydsl, monkeypatch):
    found = LIBRARY.find(SPEC, "")
    assert "wants a power of two up to 1024 for E" in found.find_refusal(make_case(E=72), GFX942)
    monkeypatch.setenv("PATH", "")
    assert "llvm-objdump, which is not here" in found.find_refusal(make_case(), GFX942)
    flydsl.change["lanes"] = 32
    assert "waves of 32 lanes here; set FLYDSL" in found.find_refusal(make_case(), GFX942)
    monkeypatch.delattr(sys.modules[simulation.EXECUTOR], "CallState")
    assert "has no CallState" in found.find_refusal(make_case(), GFX942)


def test_one_architecture_a_process(flydsl):
    with simulation.simulating_launchers(Simulator("gfx942"), {}):
        pass
    with (
        pytest.raises(RocmoeError, match="one architecture a process, found gfx950 after"),
        simulation.simulating_launchers(Simulator("gfx950"), {}),
    ):
        pass
    with simulation.simulating_launchers(Simulator("gfx942"), {}):
        pass


def test_nothing_runs_where_launches_are_only_recorded(flydsl):
    case = make_case()
    tensors = {
        "gating_output": torch.zeros(5, 256),
        "topk_weights": torch.zeros(5, 1),
        "topk_ids": torch.zeros(5, 1, dtype=torch.int32),
    }
    given = {"gating_output": tensors.pop("gating_output"), "topk": 1, "renormalize": False}
    call = LIBRARY.find(SPEC, "").for_case(case).bind(given, tensors)
    with recording("gfx942"), pytest.raises(RocmoeError, match="on a GPU or in the simulator"):
        call()


def run_scale(x, number=40, grid=(1, 1, 1), pointer=None):
    """scale.gfx90a.hsaco: doubles in place, times 2.5."""
    runtime = HostRuntime()
    engine = SimpleNamespace(call=lambda name, returns, *given: runtime.functions[name](*given))
    values = [ctypes.c_void_p(pointer) if pointer is not None else point_to(x)]
    values.append(ctypes.c_int64(number))
    launch(engine, SCALE.read_bytes(), b"scale", grid, (64, 1, 1), 0, values)
    simulator = Simulator("gfx90a")
    for each in runtime.take():
        simulate(each, (x, 40), simulator, {})
    return simulator.take()


def test_tensors_are_changed_in_place():
    x = torch.arange(48, dtype=torch.float64)
    (done,) = run_scale(x[:40])
    assert (done.kernel, done.faults) == ("scale", ())
    wanted = torch.arange(48, dtype=torch.float64)
    wanted[:40] *= 2.5
    assert torch.equal(x, wanted)


def test_a_tensor_without_a_name_is_told_by_its_place():
    (done,) = run_scale(torch.zeros(39, dtype=torch.float64))
    assert "argument 0" in done.faults[0].message


def test_pointers_to_elsewhere():
    x = torch.zeros(40, dtype=torch.float64)
    with pytest.raises(UnsupportedError, match="argument 0 of scale points to none of the ten"):
        run_scale(x, pointer=x.data_ptr() + 8)
    (done,) = run_scale(x, pointer=0)
    assert {fault.check for fault in done.faults} == {"memcheck"}


@pytest.mark.parametrize("blocks", [0, 2**60])
def test_grids_that_no_gpu_takes(blocks):
    x = torch.ones(40, dtype=torch.float64)
    if not blocks:
        assert run_scale(x, grid=(0, 1, 1)) == []
        return
    with pytest.raises(CandidateError, match="scale is launched on a grid of 1152921504606846976"):
        run_scale(x, grid=(blocks, 1, 1))


def test_what_host_code_does_wrong_is_raised_when_asked():
    runtime = HostRuntime()
    call = runtime.functions
    code = SCALE.read_bytes()
    assert call["mgpuModuleLoad"](ctypes.cast(code, ctypes.c_void_p), 40) is None
    with pytest.raises(RocmoeError):
        runtime.take()
    module = call["mgpuModuleLoad"](ctypes.cast(code, ctypes.c_void_p), len(code))
    function = call["mgpuModuleGetFunction"](module, b"scale")
    three = (ctypes.c_void_p * 3)()
    call["mgpuLaunchKernel"](function, 1, 1, 1, 64, 1, 1, 0, None, three, None, 3)
    with pytest.raises(UnsupportedError, match="launched with 3 arguments; its code object has 2"):
        runtime.take()
    unknown = call["mgpuModuleGetFunction"](module, b"scael")
    call["mgpuLaunchKernel"](unknown, 1, 1, 1, 64, 1, 1, 0, None, three, None, 3)
    with pytest.raises(RocmoeError, match=r"scale\.hsaco has no metadata of a kernel scael"):
        runtime.take()
    assert runtime.take() == []
