"""Addresses: the one result that is meant, or one line that says why there is none."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.address import find_result, name_result
from rocmoe.profiles.artifact import read_artifact, write_artifact

RUN = read_artifact(Path(__file__).parents[1] / "artifacts" / "v4.json")
RESULTS = {
    "right.json": [("one", "torch", "pass"), ("two", "torch", "pass")],
    "wrong.json": [
        ("one", "torch", "pass"),
        ("one", "triton", "refused"),
        ("two", "torch", "pass"),
        ("two", "triton", "crash"),
        ("two", "aiter", "fail"),
    ],
    "empty.json": [],
}


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, told in RESULTS.items():
        results = [
            replace(
                RUN.results[0], backend=backend, variant="default", status=status,
                case=replace(RUN.results[0].case, id=f"topk_softmax:{case}"),
            )
            for case, backend, status in told
        ]  # fmt: skip
        write_artifact(replace(RUN, results=results), Path(name))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("wrong.json", "topk_softmax:two@triton"),
        ("wrong.json#topk_softmax:two", "topk_softmax:two@triton"),
        ("wrong.json#topk_softmax:two@aiter", "topk_softmax:two@aiter"),
        ("wrong.json#topk_softmax:one@torch", "topk_softmax:one@torch"),
        ("right.json#topk_softmax:two", "topk_softmax:two@torch"),
    ],
)
def test_the_result_addressed_or_the_first_that_failed(text, found):
    file, artifact, result = find_result(text)
    assert (str(file), name_result(result)) == (text.partition("#")[0], found)
    assert result in artifact.results


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("wrong.json#topk_softmax:two@trton", "nearest: topk_softmax:two@triton"),
        (
            "right.json",
            r"right.json: none of 2 result\(s\) failed; name one: right.json#topk_softmax:one@tor",
        ),
        ("wrong.json#topk_softmax:one", r"none of 2 result\(s\) failed on topk_softmax:one; "),
        ("empty.json", "empty.json has no results"),
        ("gone.json#topk_softmax:one", "gone.json cannot be read: No such file"),
    ],
)
def test_what_there_is_nothing_of_is_one_line(text, told):
    with pytest.raises(RocmoeError, match=told) as caught:
        find_result(text)
    assert "\n" not in str(caught.value)


def test_a_file_may_have_the_mark_of_an_address_in_its_name():
    Path("a#b.json").write_bytes(Path("wrong.json").read_bytes())
    assert find_result("a#b.json")[0] == Path("a#b.json")
    assert find_result("a#b.json#topk_softmax:two@aiter")[2].backend == "aiter"
