"""Which table a benchmark prints where none is asked for."""

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.artifact import Request
from rocmoe.profiles.tables.choice import check_table


def ask(*ops, models=()):
    return Request("bench", [*ops], [], "cpu", "smoke", [], 0, False, models=[*models])


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (ask("topk_softmax"), "list"),
        (ask("topk_softmax", models=["gpt-oss-120b"]), "model"),
        (ask("dflash_verify", models=["qwen3-8b"]), "list"),
    ],
)
def test_a_model_has_its_own_table_and_stages_are_in_the_list(request_, name):
    assert check_table(None, request_) == name


def test_a_table_that_is_named_counts():
    assert check_table("sglang", ask("topk_softmax", models=["gpt-oss-120b"])) == "sglang"
    with pytest.raises(RocmoeError, match="--table fused is of topk_softmax_sorting"):
        check_table("fused", ask("topk_softmax"))
    with pytest.raises(RocmoeError, match="unknown table 'sglan'"):
        check_table("sglan", ask("topk_softmax"))
