"""Libraries that end the process on import, through the real command."""

import json
import os


def test_a_library_whose_import_kills_is_unavailable(rocmoe, tmp_path):
    (tmp_path / "sgl_kernel.py").write_text(
        "import os; print('last words', flush=True); os._exit(7)"
    )
    done = rocmoe("validate", "topk_softmax", "--suite", "smoke", "--backend", "sgl_kernel",
                  "--out", "a.json", env={**os.environ, "PYTHONPATH": str(tmp_path)})  # fmt: skip
    assert done.returncode == 4, done.stderr
    results = json.loads((tmp_path / "a.json").read_text())["results"]
    assert [result["status"] for result in results] == ["unavailable", "unavailable"]
    assert results[0]["reason"] == (
        "importing sgl_kernel: the process exited with code 7 before it answered; it printed last: "
        "last words"
    )
    assert results[1] == {**results[1], "reason": results[0]["reason"]}
