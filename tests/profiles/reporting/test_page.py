"""The page: whole without a network, its texts escaped, its tables ones that are read aloud."""

import base64
import gzip
import hashlib
import html
import json
import re
from html.parser import HTMLParser

import pytest

from rocmoe.profiles.reporting.cells import find_numeric, find_tone
from rocmoe.profiles.reporting.page import MOST_ROWS, render_page
from rocmoe.profiles.reporting.report import make_report
from rocmoe.profiles.tables.table import Table

#: Marks that end a text, an attribute, a script or a comment of HTML.
HOSTILE = "</script><img src=x onerror=alert(1)>\"'<!--&amp;"


class Page(HTMLParser):
    """The elements of a page with their attributes, and the texts of its scripts by type."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.scripts, self.texts = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "script":
            self.scripts.append((dict(attributes).get("type"), ""))

    def handle_data(self, data):
        if self.cdata_elem == "script":
            kind, text = self.scripts.pop()
            self.scripts.append((kind, text + data))
        else:
            self.texts.append(data)

    def find(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def page(make_sources, make_result, make_finding):
    """A page whose artifact has hostile texts wherever it can have texts."""
    results = [
        make_result(1, HOSTILE, 4.0, stream=2.0),
        make_result(64, HOSTILE, 8.0, stream=2.0, variants=[HOSTILE]),
        make_result(128, status="fail", reason=HOSTILE,
                    findings=[make_finding(41, HOSTILE, kernel=HOSTILE)]),
        make_result(2, device="sim:gfx942", counts={"instructions_per_token": 7.0}),
    ]  # fmt: skip
    return render_page(make_report(make_sources(*results, gpu=f"GPU {HOSTILE}")))


def test_what_an_artifact_says_is_text_and_never_markup(page):
    parsed = Page(page)
    assert parsed.find("img") == []
    assert not [attributes for _, attributes in parsed.elements if "onerror" in attributes]
    assert "onerror=alert(1)>" not in page
    # All of it is there: the reason, the finding, the name of the kernel.
    assert sum(HOSTILE in text for text in parsed.texts) >= 4


def test_the_data_of_charts_is_json_that_ends_no_script(page):
    charts = [json.loads(text) for kind, text in Page(page).scripts if kind == "application/json"]
    names = [trace["name"] for chart in charts for trace in chart["traces"]]
    # Escaped for Plotly, which has markup of its own.
    assert f"{html.escape(HOSTILE, quote=False)} gpu:0" in names
    assert all(set(chart) == {"traces", "layout"} for chart in charts)


def test_the_policy_lets_no_script_run_but_the_pages_own(page):
    parsed = Page(page)
    policy = next(a["content"] for a in parsed.find("meta") if "http-equiv" in a)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    (packed,) = (text for kind, text in parsed.scripts if kind == "application/gzip")
    library = gzip.decompress(base64.b64decode(packed))
    run = [text.encode() for kind, text in parsed.scripts if kind is None]
    hashes = {base64.b64encode(hashlib.sha256(each).digest()).decode() for each in [*run, library]}
    assert set(re.findall(r"'sha256-([^']+)'", policy)) == hashes
    assert len(hashes) == 3


def test_nothing_is_loaded(page):
    parsed = Page(page)
    links = [a[name] for _, a in parsed.elements for name in ("src", "href") if name in a]
    assert all(link.startswith("#") or link == "data:," for link in links)
    ids = {a["id"] for _, a in parsed.elements if "id" in a}
    assert {link[1:] for link in links if link.startswith("#")} <= ids


def test_tables_have_captions_and_scopes_and_can_be_reached_by_keys(page):
    parsed = Page(page)
    assert len(parsed.find("table")) == len(parsed.find("caption")) > 4
    assert all(a.get("scope") in ("col", "row") for a in parsed.find("th"))
    regions = [a for a in parsed.find("div") if a.get("class") == "table"]
    captions = {a["id"] for a in parsed.find("caption")}
    assert all(a["tabindex"] == "0" and a["aria-labelledby"] in captions for a in regions)
    assert len({a["id"] for _, a in parsed.elements if "id" in a}) == page.count(' id="')


def test_a_page_without_charts_has_no_library(make_sources, make_result):
    text = render_page(make_report(make_sources(make_result(1))))
    assert "application/gzip" not in text
    assert len(text) < 100_000


def test_long_tables_are_paged_and_all_of_their_rows_are_there(make_sources, make_result):
    results = [make_result(tokens + 1) for tokens in range(MOST_ROWS + 1)]
    parsed = Page(render_page(make_report(make_sources(*results))))
    assert [a["id"] for a in parsed.find("table") if a.get("class") == "long"] == ["results-1"]
    assert sum(f"T={MOST_ROWS + 1} E=256" in text for text in parsed.texts) == 1


def test_numbers_are_told_from_words():
    rows = [["1.5", "(2.0)", "pass", "3", "T=1"], ["-", "81%", "refused", "throttled", "T=2"]]
    assert find_numeric(Table("", tuple("abcde"), rows)) == [True, True, False, True, False]


@pytest.mark.parametrize(
    ("word", "tone"),
    [("pass 0.25", "good"), ("FAIL", "bad"), ("SLOWER", "bad"), ("refused", "doubt"), ("x", "")],
)
def test_words_have_tones(word, tone):
    assert find_tone(word) == tone
