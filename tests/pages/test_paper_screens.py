"""The study rebuilt from the paper's counts, in a browser: every view holds the paper's numbers, and nothing is cut."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from core.protocol import THYROID_CLASSES, Comparison
from core.report.paper_data import PAPER_CLASSES, ClassCounts, paper_counts, printed_cells
from core.study import StudyState
from db import create_store
from pages.results import VIEWS
from tests.core.analysis_studies import simulated_study
from tests.core.paper_study import READERS, TABLE_OF, paper_study
from tests.pages.reading_server import COORDINATOR, PASSWORD, ReadingServer
from tests.pages.stored_studies import store_study, with_coordinator

pytestmark = pytest.mark.browser

SIZES = ({"width": 1280, "height": 800}, {"width": 1024, "height": 640})
RATERS = {"ResNet34": "ResNet34"} | {key: f"{name} (simulated)" for key, name in READERS.items()}
LABELS = {each.key: each.label for each in THYROID_CLASSES}
#: Nothing is loading, and every chart is drawn.
IS_READY = """() => !document.querySelector(
    '[data-testid=stSpinner],[data-testid=stStatusWidget],[data-testid=stSkeleton],[data-stale=true]')
  && [...document.querySelectorAll('[data-testid=stPlotlyChart]')].every((each) => each.querySelector('.main-svg text'))
  && !document.querySelector('[data-testid=stPlotlyChart]:empty')"""
#: What is wrong with the picture: an exception, a page or a table that is wider than its place, texts of a chart that
#: are cut by its edge or lie over each other.
FAULTS = """() => {
  const found = [...document.querySelectorAll('[data-testid=stException]')].map((each) => each.innerText);
  for (const box of [document.documentElement, document.querySelector('[data-testid=stMain]'),
                     ...document.querySelectorAll('[data-testid=stTable], .room-blocks')]) {
    if (box.scrollWidth > box.clientWidth + 1) found.push(`${box.dataset.testid || box.className} is too wide`);
  }
  for (const chart of document.querySelectorAll('.js-plotly-plot')) {
    const edge = chart.querySelector('.main-svg').getBoundingClientRect();
    const isTurned = (each) => /rotate\\((?!0)/.test(each.getAttribute('transform'));
    const texts = [...chart.querySelectorAll('.main-svg text')].filter(
      (each) => each.textContent.trim() && !each.closest('.hoverlayer') && !isTurned(each));
    const boxes = texts.map((each) => each.getBoundingClientRect());
    boxes.forEach((one, place) => {
      const cut = Math.max(edge.left - one.left, one.right - edge.right, edge.top - one.top, one.bottom - edge.bottom);
      if (cut > 1) found.push(`cut: ${texts[place].textContent}`);
      boxes.slice(0, place).forEach((other, before) => {
        const wide = Math.min(one.right, other.right) - Math.max(one.left, other.left);
        const high = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
        if (wide > 2 && high > 4) found.push(`${texts[place].textContent} over ${texts[before].textContent}`);
      });
    });
  }
  return found;
}"""


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadingServer]:
    """A server on a store with the paper's study, unsealed."""
    folder = tmp_path_factory.mktemp("paper")
    url = f"sqlite:///{folder / 'store.sqlite3'}"
    engine = create_store(url)
    store = with_coordinator(engine)
    store_study(store, "paper", paper_study(), "Zhao et al. 2023", side=16, margin=0.05)
    live = simulated_study(n_cases=24, readers=2, models=1)
    store_study(store, "live", live, "Live", side=16, until=StudyState.OPEN, comparison=Comparison.LIVE)
    engine.dispose()
    running = ReadingServer(folder, url)
    running.start()
    yield running
    running.kill()


def counts(cohort: str, rater: str) -> dict[str, ClassCounts]:
    return dict(paper_counts()[TABLE_OF[cohort], rater])


def right(cohort: str, rater: str) -> tuple[int, int]:
    """Right answers of a rater, and all."""
    of_class = counts(cohort, rater)
    return sum(each.true_positive for each in of_class.values()), sum(each.n_positive for each in of_class.values())


def printed(cohort: str, quantity: str, rater: str = "", subject: str = "") -> str:
    return next(
        cell.printed
        for cell in printed_cells()
        if (cell.table, cell.quantity, cell.rater, cell.subject, cell.part)
        == (TABLE_OF[cohort], quantity, rater, subject, "point")
    )


def numbers(view: str, cohort: str) -> set[str]:
    """What a view must hold: counts of the paper, and numbers that it prints."""
    shares = {rater: right(cohort, rater) for rater in RATERS}
    percent = {f"{100 * n / of:.1f}" for n, of in shares.values()}
    of_classes = [counts(cohort, rater) for rater in RATERS]
    if view == "Overview":
        return percent | {f"of {shares['ResNet34'][1]} cases", *RATERS.values()}
    if view == "Classes":
        kappas = {printed(cohort, "kappa", rater) for rater in RATERS}
        sensitivities = {f"{100 * one.true_positive / one.n_positive:.1f}" for of in of_classes for one in of.values()}
        return kappas | sensitivities | {str(one.true_positive) for of in of_classes for one in of.values()}
    if view == "ROC":  # of the first class; a physician's "AUC" is that of hard labels
        return {printed(cohort, "auc", rater, PAPER_CLASSES[0]) for rater in READERS} | {LABELS[PAPER_CLASSES[0]]}
    if view == "Comparisons":
        model, of = shares["ResNet34"]
        return {f"{(model - shares[rater][0]) / of:.3f}" for rater in READERS}
    if view == "Cohort":
        sizes = {str(one.n_positive) for one in of_classes[0].values()}
        return sizes | {f"{right(each, 'ResNet34')[1]} cases" for each in TABLE_OF} | set(LABELS.values())
    return {"Panel": {"mean over classes", *LABELS.values()}, "Calibration": {"Brier score", *LABELS.values()},
            "Agreement": {"Fleiss' kappa"}, "Behaviour": {"Order"}}.get(view, set())  # fmt: skip


def look(page: Page, wanted: set[str], what: str) -> None:
    """The screen as it is now, at both sizes."""
    for size in SIZES:
        page.set_viewport_size(size)
        page.wait_for_function(IS_READY, timeout=60_000)
        page.wait_for_timeout(150)  # a chart takes a new size a moment later
        faults = page.evaluate(FAULTS)
        assert not faults, f"{what} at {size['width']}: {faults}"
    texts = page.locator("[data-testid=stMain]").inner_text() + " ".join(page.locator("svg text").all_text_contents())
    texts = re.sub(r"\s+", " ", texts)
    assert not [each for each in wanted if each not in texts], what


def signed_in(paper: ReadingServer, browser: Browser, address: str) -> Page:
    """The coordinator's page at an address."""
    page = browser.new_context(viewport=SIZES[0]).new_page()
    page.goto(f"{paper.url}/{address}")
    page.get_by_label("Login").fill(COORDINATOR)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    return page


def test_every_view_holds_the_papers_numbers_and_nothing_is_cut_at_either_size(
    paper: ReadingServer, browser: Browser
) -> None:
    page = signed_in(paper, browser, "results?study=paper")
    expect(page.locator(".room-answer")).to_be_visible(timeout=60_000)
    views = [view for view in VIEWS if view != "Localisation"]  # nobody marked a lesion
    for view in [*views, "Export"]:
        page.get_by_role("radio", name=view, exact=True).click()
        page.wait_for_url(re.compile(f"view={view}"))
        look(page, numbers(view, "internal"), view)
    page.goto(f"{paper.url}/results?study=paper&view=Classes&cohort=external")
    expect(page.get_by_text("Predictive values depend")).to_be_visible(timeout=60_000)
    look(page, numbers("Classes", "external"), "Classes, external")
    page.goto(f"{paper.url}/explain?study=paper&case=internal-0000")
    expect(page.get_by_text("reference standard")).to_be_visible(timeout=60_000)
    look(page, {*RATERS.values(), LABELS["graves"], "1 of 514"}, "a case")
    page.get_by_role("button", name="All cases").click()
    expect(page.locator(".room-gallery button")).to_have_count(24)
    look(page, {"514 cases"}, "cases")
    page.context.close()


def test_live_and_planning_are_whole_at_either_size(paper: ReadingServer, browser: Browser) -> None:
    page = signed_in(paper, browser, "dashboard?study=paper")
    expect(page.get_by_text("Open the results")).to_be_visible(timeout=60_000)
    look(page, {"answers, as of", *READERS.values()}, "Live, unsealed")
    for part, wanted in {
        "answers": {"Right so far", "reader-1", "minus rater"},
        "classes": {"Confusion", "Graves"},
        "roc": {"1 − specificity", "At each reader's specificity"},
    }.items():
        page.goto(f"{paper.url}/dashboard?study=live&part={part}")
        expect(page.get_by_text("Interim comparison")).to_be_visible(timeout=60_000)
        look(page, wanted, f"Live, {part}")
    for address, wanted in {
        "compared=panel": {"The conclusion is about", "Comparison", "Fewest cases"},
        "compared=arms&source=papers": {"Expected AUC", "Fewest cases"},
    }.items():
        page.goto(f"{paper.url}/planning?{address}")
        expect(page.get_by_text("Fewest cases")).to_be_visible(timeout=60_000)
        look(page, wanted, f"Planning, {address}")
    page.context.close()
