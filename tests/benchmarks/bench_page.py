"""How long a page of 10 000 results takes to open, sort and filter in headless Chromium.

    python tests/benchmarks/bench_page.py [RESULTS]

Needs chromium, and playwright from pip.  The results are those of the committed H100 artifacts,
over and over with other seeds and names of backends.  docs/report.md has the figures.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

from msgspec.structs import replace

from rocmoe.profiles.artifact import Artifact, read_artifact
from rocmoe.profiles.reporting.page import render_page
from rocmoe.profiles.reporting.report import make_report
from rocmoe.profiles.reporting.sources import Run, Sources

ARTIFACTS = Path(__file__).parents[2] / "docs" / "artifacts"
BACKENDS = 5
PAINTED = "await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));"
SORT = """async () => {
  const heads = [...document.querySelectorAll("#results-1 th")];
  const head = heads.find((each) => each.textContent === "graph us");
  const start = performance.now();
  head.querySelector("button").click(); PAINTED
  return performance.now() - start;
}""".replace("PAINTED", PAINTED)
FILTER = """async () => {
  const select = document.querySelector("#results select");
  const start = performance.now();
  select.selectedIndex = 1; select.dispatchEvent(new Event("change")); PAINTED
  return performance.now() - start;
}""".replace("PAINTED", PAINTED)
LOAD = "performance.getEntriesByType('navigation')[0].loadEventEnd"


def make_artifact(count: int) -> Artifact:
    """So many results, no two alike."""
    artifacts = [read_artifact(path) for path in sorted(ARTIFACTS.glob("bench-h100-*.json"))]
    known = [result for artifact in artifacts for result in artifact.results]
    results = []
    for number in range(count):
        turn, place = divmod(number, len(known))
        result, seed = known[place], turn // BACKENDS + 1
        case = replace(result.case, id=f"{result.case.id}:seed={seed}", seed=seed)
        results.append(replace(result, case=case, backend=f"backend{turn % BACKENDS}"))
    return replace(artifacts[0], results=results)


def main() -> None:
    from playwright.sync_api import sync_playwright

    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    start = time.perf_counter()
    text = render_page(make_report(Sources((Run("run", make_artifact(count)),))))
    print(f"{count} results: {len(text) / 1e6:.1f} MB, made in {time.perf_counter() - start:.0f} s")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        file = Path(folder) / "page.html"
        file.write_text(text)
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for _ in range(3):
            page = browser.new_page()
            page.goto(file.as_uri())
            times = [page.evaluate(each) for each in (LOAD, SORT, FILTER)]
            print("opened, sorted, filtered in", ", ".join(f"{ms:.0f} ms" for ms in times))
            page.close()


if __name__ == "__main__":
    main()
