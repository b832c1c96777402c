"""Hardware profiles: as published, in agreement with what else is known, and found by name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.occupancy import find_processor
from rocmoe.profiles.hardware import (
    Hardware,
    find_hardware,
    find_last_cache,
    find_peak_share,
    list_hardware,
    load_hardware,
    parse_toml,
)
from rocmoe.profiles.measuring.machine import Gpu

MIB, GIB = 1 << 20, 1 << 30
ARTIFACT = Path(__file__).parents[2] / "docs/artifacts/bench-h100-gating.json"

#: Architecture, compute units, MiB of the last cache, GiB of memory, GB/s.
PUBLISHED: Mapping[str, tuple[str, int, int, int, float]] = {
    "mi210": ("gfx90a", 104, 8, 64, 1600.0),
    "mi250x": ("gfx90a", 110, 8, 64, 1600.0),
    "mi300x": ("gfx942", 304, 256, 192, 5300.0),
    "mi308x": ("gfx942", 80, 256, 192, 5300.0),
    "mi325x": ("gfx942", 304, 256, 256, 6000.0),
    "mi350x": ("gfx950", 256, 256, 288, 8000.0),
    "mi355x": ("gfx950", 256, 256, 288, 8000.0),
    "rx-7900-xtx": ("gfx1100", 96, 96, 24, 960.0),
    "r9700": ("gfx1201", 64, 64, 32, 640.0),
    "h100": ("sm_90", 132, 50, 80, 3350.0),
    "h200": ("sm_90", 132, 50, 141, 4800.0),
}
#: Of a compute unit; two share what the documentation gives for a WGP.
REGISTER_FILE_KIB = {"gfx90a": 512, "gfx942": 512, "gfx950": 512, "gfx1100": 384, "gfx1201": 384,
                     "sm_90": 256}  # fmt: skip
#: FLOP of single precision that a compute unit does a clock: packed, dual-issued, or by 128 lanes.
FLOP_A_CLOCK = 256

KEYS = [f.name for f in fields(Hardware) if f.name not in ("name", "summary", "sources")]
OPTIONAL = ("infinity_cache_bytes", "max_clock_mhz", "fp32_tflops")
VALID: Mapping[str, object] = {
    **dict.fromkeys(KEYS, 4),
    "names": ["A GPU"],
    "arch": "gfx942",
    "memory_gb_per_s": 5,
}


def write(values: Mapping[str, object]) -> str:
    """A profile with these values, all with a source."""
    entries = [
        f'{key} = {{ value = {json.dumps(value)}, source = "verified: s" }}\n'
        for key, value in values.items()
    ]
    return 'name = "x"\nsummary = "y"\n' + "".join(entries)


def refusal(values: Mapping[str, object]) -> str:
    with pytest.raises(RocmoeError) as refused:
        parse_toml(write(values), "x.toml")
    return str(refused.value)


# the bundled profiles


def test_the_bundled_gpus_are_as_published() -> None:
    assert list_hardware() == sorted(PUBLISHED)
    for name, (arch, units, cache, memory, bandwidth) in PUBLISHED.items():
        found = load_hardware(name)
        assert (found.name, found.arch, found.compute_units) == (name, arch, units)
        assert (found.last_cache_bytes, found.memory_bytes) == (cache * MIB, memory * GIB)
        assert found.memory_gb_per_s == bandwidth


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_value_has_a_source_that_says_what_was_read_or_that_nothing_was(name: str) -> None:
    found = load_hardware(name)
    assert {key for key in KEYS if getattr(found, key) is not None} == set(found.sources)
    for key, source in found.sources.items():
        assert re.match(r"(verified|from memory, unverified): \S+", source), f"{key}: {source}"


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_peak_is_what_the_units_and_the_clock_come_to(name: str) -> None:
    found = load_hardware(name)
    assert (found.max_clock_mhz is None) == (found.fp32_tflops is None)
    if found.max_clock_mhz is not None:
        tflops = FLOP_A_CLOCK * found.compute_units * found.max_clock_mhz / 1e6
        assert found.fp32_tflops == pytest.approx(tflops, rel=0.0015)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_register_file_is_as_large_as_published(name: str) -> None:
    found = load_hardware(name)
    lanes = found.simds_per_cu * found.wavefront
    assert lanes * found.vgprs_per_simd * 4 == REGISTER_FILE_KIB[found.arch] << 10


@pytest.mark.parametrize("name", [name for name, gpu in PUBLISHED.items() if gpu[0] != "sm_90"])
def test_what_occupancy_counts_with_is_the_same(name: str) -> None:
    found = load_hardware(name)
    cu = find_processor(found.arch, found.wavefront, wgp_mode=False)
    assert (cu.simds, cu.vgprs, cu.lds_bytes) == (
        found.simds_per_cu,
        found.vgprs_per_simd,
        found.lds_bytes_per_cu,
    )
    assert cu.simds * cu.wave_slots == found.waves_per_cu


def test_a_gpu_cannot_be_changed() -> None:
    found = load_hardware("mi300x")
    with pytest.raises(FrozenInstanceError):
        found.dies = 9  # type: ignore[misc]
    with pytest.raises(TypeError):
        found.sources["dies"] = "mine"  # type: ignore[index]


# finding


@pytest.mark.parametrize(
    ("gpu_name", "arch", "name"),
    [
        ("AMD Instinct MI300X", "gfx942:sramecc+:xnack-", "mi300x"),
        ("AMD Instinct MI308X", "gfx942:sramecc+:xnack-", "mi308x"),
        ("AMD Instinct MI325X", "gfx942", "mi325x"),
        ("AMD Instinct Mi325X VF", "gfx942", "mi325x"),
        ("AMD Instinct MI350X", "gfx950", "mi350x"),
        ("AMD Instinct MI355X", "gfx950", "mi355x"),
        ("AMD Instinct MI250X", "gfx90a", "mi250x"),
        ("Radeon RX 7900 XTX", "gfx1100", "rx-7900-xtx"),
        ("NVIDIA H100 80GB HBM3", "sm_90", "h100"),
        ("NVIDIA H200", "sm90", "h200"),
    ],
)
def test_a_gpu_is_found_by_what_torch_calls_it(gpu_name: str, arch: str, name: str) -> None:
    assert find_hardware(gpu_name, arch) == load_hardware(name)


@pytest.mark.parametrize(
    ("gpu_name", "arch"),
    [
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "sm_90"),
        ("NVIDIA H100 PCIe", "sm_90"),
        ("NVIDIA H200 NVL", "sm_90"),
        ("AMD Instinct MI250X / MI250", "gfx90a"),
        ("AMD Instinct MI300X HF", "gfx942"),
        ("AMD Instinct MI300A", "gfx942"),
        ("AMD Instinct MI300X", "gfx950"),
        ("AMD Instinct", "gfx942"),
        ("", ""),
    ],
)
def test_what_may_have_less_or_more_is_not_taken_for_it(gpu_name: str, arch: str) -> None:
    assert find_hardware(gpu_name, arch) is None


def test_no_two_gpus_have_the_same_name() -> None:
    names = [name.casefold() for each in PUBLISHED for name in load_hardware(each).names]
    assert len(names) == len(set(names))


def test_the_gpu_of_a_measured_artifact_is_found() -> None:
    (gpu,) = json.loads(ARTIFACT.read_text(encoding="utf-8"))["environment"]["gpus"]
    found = find_hardware(gpu["name"], gpu["arch"])
    assert found == load_hardware("h100")
    assert gpu["memory_bytes"] == pytest.approx(found.memory_bytes, rel=0.02)


def test_unknown_name_is_met_with_the_nearest() -> None:
    with pytest.raises(RocmoeError, match=r"unknown hardware 'mi300'; nearest: mi300x$"):
        load_hardware("mi300")


# what is derived


def test_the_last_cache_of_an_architecture_is_the_largest_of_its_gpus() -> None:
    found = {arch: find_last_cache(arch) // MIB for arch in ("gfx90a", "gfx942", "gfx950", "gfx9")}
    assert found == {"gfx90a": 8, "gfx942": 256, "gfx950": 256, "gfx9": 0}


@pytest.mark.parametrize(
    ("arch", "reported", "wanted"),
    [
        ("gfx942:sramecc+:xnack-", 4, 256),
        ("gfx90a:sramecc+:xnack-", 8, 8),
        ("gfx1100", 512, 512),
        ("gfx1234", 4, 4),
        ("", 50, 50),
    ],
)
def test_what_the_driver_hides_is_known_of_a_gpu(
    monkeypatch: pytest.MonkeyPatch, arch: str, reported: int, wanted: int
) -> None:
    properties = SimpleNamespace(gcnArchName=arch, L2_cache_size=reported * MIB)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)
    monkeypatch.setattr(torch.cuda, "Event", lambda enable_timing: None)
    monkeypatch.setattr(Gpu, "clock_mhz", lambda self: 1000.0)
    assert Gpu(0).cache_bytes == wanted * MIB


def test_the_peak_share_is_that_of_the_bandwidth() -> None:
    mi300x = load_hardware("mi300x")
    assert find_peak_share(5.3e9, 1000.0, mi300x) == pytest.approx(1.0)
    assert find_peak_share(1 << 20, 0.5, mi300x) == pytest.approx((1 << 20) / 0.5e-6 / 5.3e12)
    assert find_peak_share(2e9, 100.0, mi300x) > 1.0, "a cache served it"


# refusals


@pytest.mark.parametrize("key", KEYS)
def test_only_what_a_gpu_may_not_have_is_left_out(key: str) -> None:
    values = {other: value for other, value in VALID.items() if other != key}
    if key in OPTIONAL:
        assert getattr(parse_toml(write(values), "x.toml"), key) is None
    else:
        assert refusal(values).startswith(f"x.toml: {key}: found nothing; wanted ")


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("names", "A GPU", "a list of strings that are not empty"),
        ("names", [], "a list of strings that are not empty"),
        ("names", ["A GPU", " "], "a list of strings that are not empty"),
        ("arch", "", "a string that is not empty"),
        ("dies", 0, "an integer of at least 1"),
        ("infinity_cache_bytes", 0, "an integer of at least 1"),
        ("compute_units", 1.5, "an integer of at least 1"),
        ("memory_gb_per_s", -1, "a number above 0"),
        ("max_clock_mhz", "2100", "a number above 0"),
    ],
)
def test_value_of_the_wrong_kind(key: str, value: Any, wanted: str) -> None:
    message = refusal({**VALID, key: value})
    assert message == f"x.toml: {key}: found {value!r}; wanted {wanted}"


def test_unknown_key_is_met_with_the_nearest() -> None:
    message = refusal({**VALID, "compute_unit": 4})
    assert message == "x.toml: found unknown key 'compute_unit'; nearest: compute_units"


def test_a_source_is_wanted() -> None:
    text = write(VALID).replace('"verified: s"', '"a paper"', 1)
    with pytest.raises(RocmoeError, match=r"names\.source: found 'a paper'; wanted 'verified: "):
        parse_toml(text, "x.toml")
