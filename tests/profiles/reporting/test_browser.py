"""The page in a real browser, where there is one: Chromium, driven by Playwright.

`apt-get install chromium` and `pip install playwright`; nothing else needs them.
"""

import shutil

import pytest

from rocmoe.profiles.reporting.page import MOST_ROWS, render_page
from rocmoe.profiles.reporting.report import make_report

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def browser():
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium here")
    with driver.sync_playwright() as started:
        # As root, in containers, Chromium has no sandbox.
        found = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def file(tmp_path, make_sources, make_result, make_finding):
    """A page with more results than it shows at once, of times that fall with the tokens."""
    results = [
        make_result(tokens + 1, ("torch", "<b>mine</b>")[tokens % 2], 500.0 - tokens, stream=2.0)
        for tokens in range(MOST_ROWS + 20)
    ]
    results.append(make_result(4096, f"user:{HOSTILE}:f", status="fail", reason=HOSTILE,
                               findings=[make_finding(1, HOSTILE, kernel=HOSTILE)]))  # fmt: skip
    path = tmp_path / "page.html"
    path.write_text(render_page(make_report(make_sources(*results))))
    return path


@pytest.fixture
def opened(browser, file):
    """The page, and what went wrong in it or was asked for from elsewhere."""
    page = browser.new_page()
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: said.append(request.url))
    page.goto(file.as_uri())
    assert said.pop(0) == file.as_uri()
    yield page, said
    page.close()


def read_column(page, name):
    names = page.locator("#results-1 th").all_inner_texts()
    return page.locator(f"#results-1 tbody td:nth-child({names.index(name) + 1})").all_inner_texts()


def test_charts_are_drawn_and_nothing_goes_wrong(opened):
    page, said = opened
    page.locator("#latency").scroll_into_view_if_needed()
    page.locator("#latency .plot[data-drawn] svg.main-svg").first.wait_for()
    assert page.locator("#latency .plot .scatterlayer .trace").count() == 3
    assert page.locator("#latency .legendtext").all_text_contents()[1:] == ["torch", "<b>mine</b>"]
    page.get_by_role("button", name="Colours: system").click()
    page.get_by_role("button", name="Colours: light").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    assert [line for line in said if not line.startswith(("blob:", "data:"))] == []


def test_rows_are_sorted_by_keys_both_ways_with_what_has_no_number_last(opened):
    page, _ = opened
    head = page.locator("#results-1 th", has_text="graph us")
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    times = [float(each) for each in read_column(page, "graph us")]
    assert times == sorted(times)
    assert times[0] == 381.0
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert read_column(page, "graph us")[0] == "500"
    page.get_by_role("button", name="Show all").click()
    assert read_column(page, "graph us")[-1] == "-"


def test_rows_are_filtered_by_words_and_choices(opened):
    page, _ = opened
    count = page.locator("#results [role=status]")
    assert count.inner_text() == f"{MOST_ROWS + 21} rows, the first {MOST_ROWS} shown"
    results = page.locator("#results")
    results.get_by_label("Filter rows by words").fill("torch T=11")
    page.locator("#results [role=status]", has_text="match").wait_for()
    assert {each.split()[0] for each in read_column(page, "shape")} == {
        f"T={n}" for n in (11, 111, 113, 115, 117, 119)
    }
    results.get_by_label("Filter rows by words").fill("")
    results.get_by_label("status", exact=True).select_option("fail")
    assert read_column(page, "backend") == [f"user:{HOSTILE}:f"]


def test_a_narrow_page_does_not_scroll_sideways(browser, file):
    page = browser.new_page(viewport={"width": 360, "height": 800}, color_scheme="dark")
    page.goto(file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.close()


def test_it_prints_and_is_whole_without_scripts(browser, file, opened):
    page, _ = opened
    assert page.pdf()[:5] == b"%PDF-"
    assert page.locator("#results-1 tbody tr").count() == MOST_ROWS  # as it was
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(file.as_uri())
    assert plain.locator("#results-1 tbody tr:visible").count() == MOST_ROWS + 21
    assert plain.locator("#latency table").first.is_visible()
    context.close()
