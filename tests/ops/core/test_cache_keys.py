"""Keys that do not depend on what was hashed before, with functions that tell when they are."""

import sys
from types import ModuleType

import pytest

from rocmoe.ops.core.cache_keys import settle_key


class Function:
    """What triton.jit gives, as far as it is looked at."""

    def __init__(self, source, names, hashed, fails=False):
        exec(source, names)
        self.fn = names["body"]
        self._name, self._hashed, self._fails = source, hashed, fails

    @property
    def cache_key(self):
        if self._fails:
            raise RuntimeError("Unsupported function referenced")
        if self._name not in self._hashed:
            self._hashed.append(self._name)
        return self._name


def make(hashed, fails=False):
    """outer calls inner twice, and shared by its module; inner calls shared."""
    module = ModuleType("helpers")
    shared = Function("def body(): return 1", {}, hashed, fails)
    module.shared = shared
    inner = Function("def body(): return shared()", {"shared": shared}, hashed)
    names = {"inner": inner, "helpers": module, "sys": sys, "SIZE": 4}
    return Function(
        "def body(): return inner() + inner() + helpers.shared() + sys.maxsize + SIZE",
        names,
        hashed,
    )


def test_what_a_kernel_calls_is_hashed_first_the_innermost_ahead():
    hashed = []
    kernel = make(hashed)
    settle_key(kernel)
    assert hashed == [
        "def body(): return 1",
        "def body(): return shared()",
        kernel._name,
    ]


def test_functions_that_call_each_other_end():
    hashed, names = [], {}
    first = Function("def body(): return second()", names, hashed)
    second = Function("def body(): return first()", {"first": first}, hashed)
    names["second"] = second
    settle_key(first)
    assert hashed == [second._name, first._name]


def test_what_triton_refuses_is_left_to_it():
    kernel = make([], fails=True)
    settle_key(kernel)
    with pytest.raises(RuntimeError, match="Unsupported"):
        _ = kernel.fn.__globals__["helpers"].shared.cache_key


def test_a_constant_of_a_kernel_has_one_value_under_its_name():
    """Triton sorts those of one name by the address of their module."""
    pytest.importorskip("triton", reason="triton is not installed")
    import importlib
    import pkgutil

    from triton.language import constexpr

    import rocmoe.ops.kernels as kernels

    found = {}
    for each in pkgutil.walk_packages(kernels.__path__, "rocmoe.ops.kernels."):
        for name, value in vars(importlib.import_module(each.name)).items():
            if isinstance(value, constexpr):
                found.setdefault(name, set()).add(value.value)
    assert len(found) > 20
    assert {name: values for name, values in found.items() if len(values) > 1} == {}
