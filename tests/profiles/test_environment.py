from __future__ import annotations

import sys
import types
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rocmoe.profiles.environment import (
    Environment,
    _name_system,
    attempt,
    collect_environment,
    find_triton,
    find_version,
    hide_home,
    list_gpus,
    list_peers,
    select_variables,
)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def install(site: Path, module: str, version: str | None, distribution: str) -> Path:
    """A package that must not be imported, as pip would leave it."""
    init = write(site / module / "__init__.py", "raise RuntimeError('imported')\n")
    if version:
        folder = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        write(
            folder / "METADATA",
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n",
        )
    return init.parent


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    # One that was imported by another test would be found in place of the pretended one.
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    return tmp_path / "site"


def pretend_gpus(monkeypatch: pytest.MonkeyPatch, hip: str | None, **properties: object) -> None:
    import torch

    found = types.SimpleNamespace(name="GPU", total_memory=2**37, major=9, minor=0, **properties)
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: found)


def test_this_machine_is_recorded_and_survives_json() -> None:
    import torch

    found = collect_environment()
    assert found.torch == torch.__version__
    assert found.python == sys.version.split()[0]
    assert found.cpu_count
    assert found.memory_bytes
    assert found.memory_bytes > 2**27
    assert msgspec.json.decode(msgspec.json.encode(found), type=Environment) == found


def test_files_of_a_rocm_machine_are_read(tmp_path: Path) -> None:
    write(tmp_path / "opt/rocm-7/.info/version", "7.0.2-56\n")
    write(tmp_path / "sys/module/amdgpu/version", "6.14.14\n")
    write(tmp_path / "proc/cpuinfo", "processor\t: 0\nmodel name\t: AMD EPYC 9654\nflags : x\n")
    write(tmp_path / "proc/meminfo", "MemTotal:       1000 kB\nMemAvailable:    500 kB\n")
    found = collect_environment(tmp_path, {"ROCM_PATH": "/opt/rocm-7"})
    assert (found.rocm, found.amdgpu_driver) == ("7.0.2-56", "6.14.14")
    assert (found.cpu_model, found.memory_bytes) == ("AMD EPYC 9654", 1024000)


@pytest.mark.parametrize(
    "line",
    [
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.15  Release Build  (x@y)",
    ],
)
def test_both_kernel_modules_of_nvidia_are_read(tmp_path: Path, line: str) -> None:
    write(tmp_path / "proc/driver/nvidia/version", f"{line}\nGCC version:  gcc version 12.2.0\n")
    assert collect_environment(tmp_path, {}).nvidia_driver == "550.54.15"


def test_an_empty_machine_without_torch_gives_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    found = collect_environment(tmp_path, {})
    assert found.gpus == []
    for name in ("torch", "torch_hip", "torch_cuda", "rocm", "amdgpu_driver", "nvidia_driver"):
        assert getattr(found, name) is None, name
    assert found.memory_bytes is None


def test_a_torch_that_fails_in_its_own_way_gives_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> bool:
        raise RuntimeError("HIP error: invalid device")

    import torch

    monkeypatch.setattr(torch.cuda, "is_available", fail)
    assert collect_environment().gpus == []
    with pytest.raises(RuntimeError, match="invalid device"):
        list_gpus()


def test_gpus_carry_the_arch_of_their_maker(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_gpus(monkeypatch, "7.0.5", gcnArchName="gfx942:sramecc+:xnack-")
    assert [(gpu.index, gpu.arch) for gpu in list_gpus()] == [
        (0, "gfx942:sramecc+:xnack-"),
        (1, "gfx942:sramecc+:xnack-"),
    ]
    pretend_gpus(monkeypatch, None)
    assert {gpu.arch for gpu in list_gpus()} == {"sm_90"}


def test_libraries_are_told_without_importing_them(site: Path) -> None:
    (install(site, "aiter", "0.1.9", "amd-aiter") / "ops").mkdir()
    install(site, "sgl_kernel", "0.4.10", "sglang-kernel")
    install(site, "flydsl", None, "flydsl")
    assert list_peers() == {"aiter": "0.1.9", "sgl_kernel": "0.4.10", "flydsl": "unknown"}


def test_the_other_aiter_is_not_taken_for_amds(site: Path) -> None:
    install(site, "aiter", "0.13.20191203", "aiter")
    assert list_peers() == {}


def test_triton_is_found_under_the_name_that_rocm_gives_it(site: Path) -> None:
    install(site, "triton", "3.5.1+rocm7.1", "pytorch-triton-rocm")
    assert find_triton() == "3.5.1+rocm7.1"


def test_a_triton_without_metadata_is_read_from_its_source(site: Path) -> None:
    write(site / "triton/__init__.py", '"""isort:skip_file"""\n__version__ = \'3.6.0\'\n')
    if find_version(["triton"]) is None:
        assert find_triton() == "3.6.0"


@given(
    st.dictionaries(
        st.one_of(
            st.text("ABCDEHIKMNOPRSTU_", min_size=1),
            st.sampled_from(["TRITON_", "HSA_", "PYTORCH_", "ROCMOE_", "AWS_"]).flatmap(
                lambda prefix: st.text("ACELNOTKSR_", max_size=12).map(prefix.__add__)
            ),
        ),
        st.text(max_size=20),
    )
)
@settings(max_examples=100, deadline=None)
def test_no_variable_leaves_that_is_not_listed(environ: dict[str, str]) -> None:
    allowed = "TRITON_ HSA_ HIP_ ROCM_PATH ROCMOE_ AITER_ AMDGCN_ AMD_ FLYDSL_ PYTORCH_ "
    allowed += "OMP_NUM_THREADS MKL_NUM_THREADS ROCR_ CUDA_ GPU_DEVICE_ORDINAL VLLM_ROCM_ SGLANG_"
    for name in select_variables(environ):
        assert name.startswith(tuple(allowed.split())), name
        assert "TOKEN" not in name
        assert not name.startswith("PYTORCH_") or "ALLOC" in name


def test_the_variables_that_change_results_are_kept() -> None:
    kept = {
        "HIP_VISIBLE_DEVICES": "0,1",
        "HSA_OVERRIDE_GFX_VERSION": "9.4.2",
        "PYTORCH_HIP_ALLOC_CONF": "expandable_segments:True",
        "SGLANG_USE_AITER": "1",
        "OMP_NUM_THREADS": "1",
    }
    secret = {"HF_TOKEN": "x", "TRITON_REGISTRY_TOKEN": "x", "PATH": "/bin", "HOME": "/root"}
    assert select_variables(kept | secret) == kept


@pytest.mark.parametrize(
    ("text", "home", "hidden"),
    [
        ("/root/.triton/cache", "/root", "~/.triton/cache"),
        ("/root", "/root", "~"),
        ("/rootless/x", "/root", "/rootless/x"),
        ("/mnt/root/x", "/root", "/mnt/root/x"),
        ("/a:/home/ann/x:/home/bob", "/home/ann", "/a:~/x:~"),
        ("dir=/data/ann/x", "/data/ann/", "dir=~/x"),
        ("/opt/rocm", "", "/opt/rocm"),
        ("/opt/rocm", "/", "/opt/rocm"),
    ],
)
def test_home_directories_are_hidden(text: str, home: str, hidden: str) -> None:
    assert hide_home(text, home) == hidden
    assert select_variables({"TRITON_CACHE_DIR": text, "HOME": home}) == {
        "TRITON_CACHE_DIR": hidden
    }


def test_attempt_swallows_what_a_probe_raises_and_warns() -> None:
    import warnings

    def warn() -> str:
        warnings.warn("no driver", UserWarning, stacklevel=1)
        return "seen"

    assert attempt(warn) == "seen"
    assert attempt(lambda: {}["libamd_smi.so"]) is None


@pytest.mark.parametrize(
    ("release", "named"),
    [
        ("6.8.0-45-generic", "Linux 6.8.0"),
        ("5.15.0.internal-host7", "Linux 5.15.0"),
        ("x", "Linux"),
    ],
)
def test_the_system_is_named_without_its_host(release, named):
    assert _name_system("Linux", release) == named
