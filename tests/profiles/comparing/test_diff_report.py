"""A comparison as it is read: the worst first, nothing unescaped, and the same in every form."""

from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.comparing.comparability import Difference
from rocmoe.profiles.comparing.diff import Diff
from rocmoe.profiles.comparing.diff_changes import Change
from rocmoe.profiles.comparing.diff_junit import check_junit, write_diff_junit
from rocmoe.profiles.comparing.diff_report import (
    TOLD,
    annotate_diff,
    list_rows,
    render_markdown,
    summarize,
    tell_lines,
)
from rocmoe.profiles.github import ANNOTATIONS

CASE = "topk_softmax:T=8,E=64,k=4:bf16:renormalize=true:normal:contiguous"
PLACE = (CASE, "triton", "gpu:0")


def time(verdict, ratio, what="graph warm", note=""):
    return Change(
        "slower", verdict, *PLACE, verdict == "SLOWER", what, 20.0, 20.0 * ratio, ratio,
        ratio - 0.01, ratio + 0.01, 0.02, note,
    )  # fmt: skip


def count(verdict, new, base=100.0):
    ratio = new / base if base else None
    return Change(
        "counts", verdict, *PLACE, verdict == "WORSE", "instructions", base, new, ratio,
        margin=0.005, others={"waves": [1.0, 2.0]},
    )  # fmt: skip


def status(verdict, before, after, note=""):
    regression = verdict in ("BROKEN", "GONE")
    return Change("correctness", verdict, *PLACE, regression, "", before, after, note=note)


def make_diff(*changes, code=0, fail_on=("correctness", "slower", "counts"), **more):
    more = {"differences": [], "inconclusive": [], "gaps": [], **more}
    return Diff("rocmoe.diff", 1, "a", "b", [*fail_on], code, changes=[*changes], **more)


MIXED = make_diff(
    time("SAME", 1.0),
    status("NEW", None, "pass"),
    time("FASTER", 0.5),
    count("BETTER", 50.0),
    time("AMBIGUOUS", 1.02, note="processes stray by 3.0%"),
    time("SLOWER", 1.1),
    status("FIXED", "fail", "pass"),
    count("WORSE", 120.0),
    count("WORSE", 4.0, 0.0),
    time("SLOWER", 1.5),
    status("BROKEN", "pass", "fail", "failed weights"),
    code=1,
)


def test_the_worst_is_first_and_what_is_unchanged_is_only_counted():
    rows = list_rows(MIXED)
    assert [(row[0], row[6]) for row in rows] == [
        ("BROKEN", "-"),
        ("SLOWER", "+50.0% [+49.0%, +51.0%]"),
        ("SLOWER", "+10.0% [+9.0%, +11.0%]"),
        ("WORSE", "-"),
        ("WORSE", "+20.0%"),
        ("AMBIGUOUS", "+2.0% [+1.0%, +3.0%]"),
        ("FIXED", "-"),
        ("FASTER", "-50.0% [-51.0%, -49.0%]"),
        ("BETTER", "-50.0%"),
        ("NEW", "-"),
    ]
    assert rows[1] == [
        "SLOWER", f"{CASE}@triton", "gpu:0", "graph warm", "20.0 us", "30.0 us",
        "+50.0% [+49.0%, +51.0%]", "",
    ]  # fmt: skip
    assert rows[0][3:] == ["correctness", "pass", "fail", "-", "failed weights"]
    assert rows[3][4:6] == ["0", "4"]
    assert [row[0] for row in list_rows(MIXED, every=True)][-1] == "SAME"


def test_the_outcome_in_one_line():
    assert summarize(MIXED) == (
        "failed (exit 1): 5 regressions, 1 ambiguous, 3 improvements, 1 other, 1 unchanged"
    )
    aside = make_diff(count("WORSE", 120.0), fail_on=["slower"])
    assert summarize(aside) == (
        "passed (exit 0): 1 regression, 1 of the regressions not among --fail-on"
    )
    assert summarize(make_diff(code=4)) == "inconclusive (exit 4): nothing was compared"


DIFFERENCE = Difference("gpu", "GPU", "one", "two", ["slower"], False)


def test_what_was_not_compared_is_told_behind_the_table():
    diff = make_diff(code=4, differences=[DIFFERENCE], inconclusive=["why"], gaps=["what"])
    assert tell_lines(diff) == [
        "inconclusive: why",
        "GPU: base one, new two: --allow gpu compares slower",
        "not compared: what",
        "",
        "inconclusive (exit 4): nothing was compared",
    ]


def test_a_long_group_is_cut_and_says_so():
    diff = make_diff(*(time("SLOWER", 1.1 + n / 1000.0) for n in range(TOLD + 3)), code=3)
    assert len(list_rows(diff)) == TOLD
    assert len(list_rows(diff, every=True)) == TOLD + 3
    assert "not shown without --all: 3 regressions" in tell_lines(diff)
    assert "not shown without --all" not in "\n".join(tell_lines(diff, every=True))
    assert "not shown without --all: 3 regressions" in render_markdown(diff)


def test_markdown_shows_regressions_and_folds_up_the_rest():
    text = render_markdown(MIXED)
    assert text.startswith("**rocmoe diff** failed (exit 1): 5 regressions,")
    shown, *folded = text.split("<details>")
    assert shown.count("| SLOWER ") == 2
    assert [part[: part.index("</summary>")] for part in folded] == [
        "<summary>1 ambiguous",
        "<summary>3 improvements",
        "<summary>1 other",
    ]
    assert text.count("<details>") == text.count("</details>") == 3
    assert "| SAME" not in text
    assert "<summary>1 unchanged" in render_markdown(MIXED, every=True)


def test_markdown_of_hostile_text_is_text():
    note = "a|b <img src=x> `c` @somebody\n# heading [x](y)"
    broken = replace(status("BROKEN", "pass", "fail", note), backend="user:a|b`.py:f")
    diff = make_diff(broken, code=1, gaps=["1 <b> of @all"], inconclusive=["*bold*"])
    text = render_markdown(diff)
    (row,) = [line for line in text.splitlines() if line.startswith("| BROKEN")]
    cells = row.replace("\\|", "").split("|")
    assert len(cells) == 10, "as many as there are columns"
    assert f"`{CASE}@user:a\\|b'.py:f`" in row
    assert "\\<img src=x\\> \\`c\\` @\u200bsomebody \\# heading" in row
    assert "1 \\<b\\> of @\u200ball" in text
    assert "\\*bold\\*" in text


def test_annotations_are_escaped():
    diff = make_diff(status("BROKEN", "pass", "fail", "100 % wrong,\r\n::error::x"), code=1)
    assert annotate_diff(diff) == [
        "::error title=rocmoe diff%3A BROKEN::"
        f"{CASE}@triton on gpu:0, correctness: pass -> fail (100 %25 wrong, ::error::x)"
    ]
    (line,) = annotate_diff(make_diff(code=4, inconclusive=["a%b\r\nc:d,e"]))
    assert line == "::error title=rocmoe diff%3A inconclusive::a%25b%0D%0Ac:d,e"


def test_what_fails_is_an_error_and_what_may_is_a_warning():
    told = [time("SLOWER", 1.5), count("WORSE", 120.0), time("AMBIGUOUS", 1.03)]
    untold = [time("SAME", 1.0), time("AMBIGUOUS", 1.01), time("AMBIGUOUS", 0.9)]
    lines = annotate_diff(make_diff(*told, *untold, fail_on=["slower"], code=3))
    assert [line.partition("::C")[0].split("title=rocmoe diff%3A ")[0] for line in lines] == [
        "::error ", "::warning ", "::warning ",
    ]  # fmt: skip
    assert "20.0 us -> 30.0 us, +50.0%25 [" in lines[0]


def test_github_shows_ten_of_a_level():
    lines = annotate_diff(make_diff(*[time("SLOWER", 1.5)] * 30, code=3))
    assert len(lines) == ANNOTATIONS + 1
    assert lines[-1] == f"::error title=rocmoe diff%3A more::{30 - ANNOTATIONS} more of this level"


def test_the_step_summary_is_appended_to(tmp_path):
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    annotate_diff(MIXED, str(summary))
    assert summary.read_text() == f"before\n{render_markdown(MIXED)}\n"


def test_junit_says_what_the_exit_code_says(tmp_path):
    diff = make_diff(
        *MIXED.changes, fail_on=["correctness", "slower"], code=1, inconclusive=["odd \x00 one"]
    )
    write_diff_junit(diff, tmp_path / "diff.xml")
    suite = ElementTree.parse(tmp_path / "diff.xml").getroot()
    numbers = [suite.get(name) for name in ("tests", "failures", "errors", "skipped")]
    assert numbers == ["12", "3", "1", "1"]
    for tag, number in zip(("testcase", "failure", "error", "skipped"), numbers, strict=True):
        assert len(suite.findall(f".//{tag}")) == int(number)
    (broken,) = [test for test in suite if (found := test.find("failure")) is not None
                 and found.get("type") == "BROKEN"]  # fmt: skip
    assert broken.get("classname") == "rocmoe.topk_softmax.triton"
    assert broken.find("failure").get("message") == "pass -> fail, -: failed weights"
    assert suite[0].find("error").get("message") == "odd ? one"
    names = {test.get("name").removeprefix(f"{CASE} gpu:0 ") for test in suite[1:]}
    assert names == {"correctness", "graph warm", "counts"}, "the same from run to run"


def test_junit_replaces_no_artifact(tmp_path):
    class Side:
        file = tmp_path / "run.json"

    with pytest.raises(RocmoeError, match="is one of the artifacts"):
        check_junit(tmp_path / "run.json", Side)
    check_junit(tmp_path / "run.xml", Side)


def test_times_are_in_order_of_the_slowest_and_costs_of_the_largest_change():
    changes = [time("AMBIGUOUS", ratio) for ratio in (0.95, 1.01, 1.04)]
    rows = list_rows(make_diff(*changes, time("FASTER", 0.5), time("FASTER", 0.8)))
    assert [row[5] for row in rows] == ["20.8 us", "20.2 us", "19.0 us", "16.0 us", "10.0 us"]
    rows = list_rows(make_diff(count("WORSE", 110.0), count("WORSE", 25.0), code=3))
    assert [row[5] for row in rows] == ["25", "110"]


def test_growth_from_nothing_is_ahead_of_any_other():
    rows = list_rows(make_diff(count("WORSE", 1e9), count("WORSE", 1.0, 0.0), code=3))
    assert [row[4] for row in rows] == ["0", "100"]
