"""Accuracy: the tables of lm-eval, as printed and as sgl-project/sglang#21421 shows them, JSON."""

import json
import math

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.reporting.accuracy import (
    Score,
    judge,
    parse_results,
    parse_table,
    read_scores,
    tabulate_scores,
)

#: As a page shows it: cells with blanks in between.
BEFORE = """
Tasks Version Filter n-shot Metric Value Stderr
gsm8k 3 flexible-extract 5 exact_match 0.9719 ± 0.0045
strict-match 5 exact_match 0.9727 ± 0.0045
"""
#: As lm-eval prints it.
AFTER = """
vllm (pretrained=model), gen_kwargs: (None), limit: None, num_fewshot: 5, batch_size: auto
|Tasks|Version|     Filter     |n-shot|  Metric   |   |Value |   |Stderr|
|-----|------:|----------------|-----:|-----------|---|-----:|---|-----:|
|gsm8k|      3|flexible-extract|     5|exact_match|↑  |0.9712|±  |0.0046|
|     |       |strict-match    |     5|exact_match|↑  |0.9719|±  |0.0045|
"""
RESULTS = {
    "results": {
        "gsm8k": {
            "alias": "gsm8k",
            "exact_match,strict-match": 0.9719,
            "exact_match_stderr,strict-match": 0.0045,
            "exact_match,flexible-extract": 0.9712,
            "exact_match_stderr,flexible-extract": 0.0046,
        },
        "wikitext": {"word_perplexity,none": 9.25, "word_perplexity_stderr,none": "N/A"},
    },
    "n-shot": {"gsm8k": 5, "wikitext": 0},
    "higher_is_better": {
        "gsm8k": {"exact_match": True},
        "wikitext": {"word_perplexity": False},
    },
}


def test_both_forms_of_the_table_are_read():
    shown, printed = parse_table(BEFORE), parse_table(AFTER)
    assert [score.key for score in shown] == [score.key for score in printed]
    assert shown[1] == Score("gsm8k", "strict-match", "5", "exact_match", 0.9727, 0.0045)
    assert printed[0] == Score("gsm8k", "flexible-extract", "5", "exact_match", 0.9712, 0.0046,
                               True)  # fmt: skip


def test_results_in_json_are_the_same_scores():
    by_key = {score.key: score for score in parse_results(json.dumps(RESULTS))}
    assert [by_key[score.key] for score in parse_table(AFTER)] == parse_table(AFTER)
    assert by_key["wikitext", "none", "0", "word_perplexity"] == Score(
        "wikitext", "none", "0", "word_perplexity", 9.25, None, False
    )


def test_a_difference_within_the_stated_errors_says_so():
    table = tabulate_scores(parse_table(BEFORE), parse_table(AFTER))
    limit = 1.96 * math.hypot(0.0045, 0.0046)
    assert table.rows[0] == [
        "gsm8k", "flexible-extract", "5", "exact_match", "0.9719 ± 0.0045", "0.9712 ± 0.0046",
        f"-0.0007 ± {limit:.4f}", "within the errors",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("after", "rises", "verdict"),
    [
        (0.987, True, "better"), (0.957, True, "worse"), (0.957, False, "better"),
        (0.957, None, "beyond the errors"), (0.9843, True, "within the errors"),
    ],
)  # fmt: skip
def test_beyond_the_errors_the_side_of_the_metric_counts(after, rises, verdict):
    old = Score("t", "none", "5", "acc", 0.972, 0.0045)
    new = Score("t", "none", "5", "acc", after, 0.0045, rises)
    assert judge(old, new)[1] == verdict


def test_what_states_no_error_or_is_on_one_side_is_not_judged():
    score = Score("t", "none", "5", "acc", 0.5, None)
    assert judge(score, score) == ("+0.0000", "no standard error")
    assert judge(None, score) == ("-", "only after")
    assert judge(score, None) == ("-", "only before")


def test_a_file_without_scores_is_refused(tmp_path):
    path = tmp_path / "scores.txt"
    path.write_text(AFTER)
    assert len(read_scores(path)) == 2
    path.write_text("gsm8k: fine\n")
    with pytest.raises(RocmoeError, match="has no accuracy: wanted the table"):
        read_scores(path)
