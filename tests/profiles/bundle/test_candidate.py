"""The user's own code is copied with what it imports from beside it, and nothing else."""

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.bundle.candidate import copy_candidate


def test_what_lies_beside_and_is_imported_is_copied(tmp_path):
    for path, text in {
        "my-kernel.py": "import helper\nimport torch\nfrom package.inner import x\n",
        "helper.py": "def f():\n    import late, json\n",
        "late.py": "import triton\nfrom rocmoe.ops.core import launch\n",
        "package/__init__.py": "",
        "package/inner.py": "from . import other\n",
        "package/other.py": "import numpy\nimport helper\n",
        "unrelated.py": "secret = 1\n",
        "notes.txt": "secret",
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    copied = copy_candidate(f"{tmp_path}/my-kernel.py:topk")
    assert set(copied.files) == {
        f"candidate/{path}"
        for path in (
            *("my_kernel.py", "helper.py", "late.py", "package/__init__.py"),
            *("package/inner.py", "package/other.py"),
        )
    }
    assert copied.needs == ("numpy", "rocmoe", "torch", "triton")
    assert (copied.candidate.file, copied.candidate.function) == ("candidate/my_kernel.py", "topk")


def test_what_is_no_python_or_too_much_is_refused(tmp_path):
    (tmp_path / "mine.py").write_text("import helper\n")
    (tmp_path / "helper.py").write_text("def (:\n")
    with pytest.raises(RocmoeError, match=r"helper.py cannot be read as Python: invalid syntax"):
        copy_candidate(f"{tmp_path}/mine.py:f")
    (tmp_path / "helper.py").unlink()
    (tmp_path / "helper").mkdir()
    for number in range(101):
        (tmp_path / "helper" / f"m{number}.py").touch()
    with pytest.raises(RocmoeError, match=r"mine.py imports more than 100 files"):
        copy_candidate(f"{tmp_path}/mine.py:f")
