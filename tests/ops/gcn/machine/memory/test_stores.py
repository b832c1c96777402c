from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROUTES = (
    *("buffer", "buffer record", "buffer scratch", "global", "global base"),
    *("flat", "flat lds", "flat scratch", "scratch"),
)
WORDS = (0x44332211, 0x88776655, 0xCCBBAA99, 0x00FFEEDD)
STORES = {
    "byte": "11",
    "byte_d16_hi": "33",
    "short": "1122",
    "short_d16_hi": "3344",
    "dword": "11223344",
    "dwordx2": "1122334455667788",
    "dwordx3": "112233445566778899aabbcc",
    "dwordx4": "112233445566778899aabbccddeeff00",
}
PAIRS = (("byte", "ubyte"), ("short", "ushort"), *((f, f) for f in list(STORES)[4:]))
SIZES = {
    "byte": 1,
    "ubyte": 1,
    "short": 2,
    "ushort": 2,
    "dword": 4,
    "dwordx2": 8,
    "dwordx3": 12,
    "dwordx4": 16,
}


def spell(first: int, size: int) -> str:
    return f"v{first}" if size <= 4 else f"v[{first}:{first + size // 4 - 1}]"


@pytest.mark.parametrize("shift", [0, 1, 2, 4, 12])
@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize("form", STORES)
def test_store(bench: Any, route: Any, form: str, name: str, shift: int) -> None:
    machine = bench()
    way = route(machine, name, shift)
    octets = bytes.fromhex(STORES[form])
    for at, word in enumerate(WORDS):
        machine.set(20 + at, word)
    active = machine.set_exec(*machine.mixed)
    expected = way.storage.copy()
    for at, octet in enumerate(octets):
        expected[way.places[active] + at] = octet
    machine.run(way.store(form, spell(20, len(octets))))
    assert (way.storage == expected).all()
    assert not machine.faults
    told = machine.listener.before
    assert [(access.kind, access.size, access.data) for access in told] == [
        ("store", len(octets), 20)
    ]
    assert (told[0].active == active).all()
    assert told[0].shift == (16 if form.endswith("hi") else 0)


def test_of_lanes_that_store_to_one_place_the_last_wins(bench: Any) -> None:
    machine = bench()
    machine.set64(10, machine.base + machine.lane % 2)
    machine.set(20, machine.lane * 0x0101)
    machine.set_exec(*machine.mixed)
    machine.run("global_store_short v[10:11], v20, off")
    # Wave 1 has even lanes alone, and all of them store at the first byte.
    assert machine.octets[:3].tolist() == [126, 126, 63]


def test_a_store_goes_back_to_the_tensor(bench: Any, tensor: Any) -> None:
    x, y = tensor("x", 1024), tensor("y", 1024, offset=5)
    y.memory.flags.writeable = False
    machine = bench(tensors=(x, y))
    machine.set(20, 0xABCD1234)
    machine.set64(10, machine.base + 8 + 4 * machine.lane)
    machine.run("global_store_dword v[10:11], v20, off")
    machine.memory.copy_back()
    assert x.memory[8 : 8 + 768].tobytes() == bytes.fromhex("3412cdab") * 192
    assert x.memory[:8].tolist() == list(range(8))
    assert x.memory[776:].tolist() == [at % 251 for at in range(776, 1024)]


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # they only make new objects
)
@given(
    name=st.sampled_from(ROUTES),
    pair=st.sampled_from(PAIRS),
    shift=st.integers(0, 19),
    bits=st.tuples(*[st.integers(0, (1 << 64) - 1)] * 3),
    seed=st.integers(0, 1 << 30),
)
def test_what_is_stored_is_loaded(
    bench: Any, route: Any, name: str, pair: Any, shift: int, bits: Any, seed: int
) -> None:
    machine = bench()
    way = route(machine, name, shift)
    size = SIZES[pair[0]]
    words = np.random.default_rng(seed).integers(0, 1 << 32, (4, 3, 64))
    for at, word in enumerate(words):
        machine.set(20 + at, word)
        machine.set(30 + at, 7)
    active = machine.set_exec(*bits)
    machine.run(way.store(pair[0], spell(20, size)))
    machine.run(way.load(pair[1], spell(30, size)))
    mask = (1 << 8 * min(size, 4)) - 1
    for at in range(max(size // 4, 1)):
        assert (machine.get(30 + at)[..., 0] == np.where(active, words[at] & mask, 7)).all()
    assert not machine.faults
