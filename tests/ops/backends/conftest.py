import importlib.util
import sys
from pathlib import Path

import pytest

from rocmoe.ops.core.peer import find_form


def _load():
    path = Path(__file__).with_name("stand_ins.py")
    spec = importlib.util.spec_from_file_location("stand_ins", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["stand_ins"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def stand_ins():
    """The module stand_ins.py beside this file."""
    return _load()


@pytest.fixture(autouse=True)
def fresh_forms():
    """What was found out of a library is forgotten with it."""
    find_form.cache_clear()
    yield
    find_form.cache_clear()
