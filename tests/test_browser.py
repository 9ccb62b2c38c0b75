"""Every page in a real browser: nothing said, nothing cut off, formulas drawn, sliders moved."""

from pathlib import Path

import pytest

from notebooks import browser
from notebooks.build_site import build_pages
from notebooks.execute import chapters

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(browser.missing()), reason=browser.missing() or "there is one"),
]
ROOT = Path(__file__).parent.parent
WIDTHS = {"desk": (1280, 900), "phone": (390, 800)}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    build = tmp_path_factory.mktemp("browser")
    build_pages(chapters(ROOT), build, ROOT)
    return build / "html"


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as running:
        yield running


def pages(site):
    return sorted(path for path in site.rglob("*.html") if "_static" not in path.parts)


def opened(chromium, site, width="desk", mode="light"):
    """(path, page, what it said) for each page, in one tab."""
    w, h = WIDTHS[width]
    context = chromium.new_context(viewport={"width": w, "height": h}, color_scheme=mode)
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("requestfailed", lambda request: said.append(request.url))
    for path in pages(site):
        said.clear()
        page.goto(path.as_uri())
        page.evaluate("window.MathJax && MathJax.startup && MathJax.startup.promise")
        yield path, page, list(said)
    context.close()


DRAWN = """() => ({
  wide: document.documentElement.scrollWidth - innerWidth,
  undrawn: [...document.querySelectorAll(".math")].filter(e => !e.querySelector("mjx-container"))
    .length,
  wrong: document.querySelectorAll("mjx-merror, [data-mjx-error]").length,
})"""


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_pages_are_whole_and_say_nothing(chromium, site, width, mode):
    faults = []
    for path, page, said in opened(chromium, site, width, mode):
        found = page.evaluate(DRAWN)
        if said or found["wide"] > 0 or found["undrawn"] or found["wrong"]:
            faults.append((path.name, found, said[:3]))
    assert faults == []


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_contrast(chromium, site, mode):
    """Text stands out from what is behind it, 4.5 to 1, by axe."""
    from axe_playwright_python.sync_playwright import Axe

    faults = []
    for path, page, _ in opened(chromium, site, mode=mode):
        if path.parent.name in ("api", "student"):
            continue
        found = Axe().run(page, options={"runOnly": ["color-contrast"]}).response["violations"]
        nodes = [node for fault in found for node in fault["nodes"]]
        faults += [(path.name, node["html"][:80]) for node in nodes]
    assert faults == []


def test_sliders_have_a_name_and_move_by_keyboard(chromium, site):
    seen = 0
    for path, page, _ in opened(chromium, site):
        for handle in page.locator(".byzlib-slider input[type=range]").all():
            seen += 1
            name = handle.get_attribute("aria-label")
            box = handle.locator("xpath=..")
            assert name and box.get_by_text(name).first.is_visible(), path.name
            before = handle.get_attribute("aria-valuetext"), box.locator("img:visible").count()
            at_end = handle.input_value() == handle.get_attribute("max")
            handle.press("ArrowLeft" if at_end else "ArrowRight")
            after = handle.get_attribute("aria-valuetext"), box.locator("img:visible").count()
            assert before[0] and before[0] != after[0] and before[1] == after[1] == 1, path.name
            assert box.locator("figcaption:visible").inner_text() == after[0], path.name
    assert seen > 12


def test_exercise_links_lead_to_blank_exercises(chromium, site):
    links = set()
    for path, page, _ in opened(chromium, site):
        if path.parent == site:
            found = page.locator("article a[href*='exercises/']").all()
            links |= {link.evaluate("link => link.href.split('#')[0]") for link in found}
    page = chromium.new_page()
    links = {link for link in links if not link.endswith("README.html")}
    assert len(links) > 12
    for link in links:
        page.goto(link)
        assert "YOUR CODE HERE" in page.locator("article").inner_text(), link


@pytest.mark.parametrize(
    "words, first",
    [("geometric median", "05_"), ("Krum", "03_"), ("trimmed mean", "04_"), ("Bulyan", "06_")],
)
def test_the_search_finds_the_chapter_first(chromium, site, words, first):
    page = chromium.new_page()
    page.goto(f"{(site / 'search.html').as_uri()}?q={words.replace(' ', '+')}")
    found = page.locator("#search-results li a").first
    found.wait_for()
    assert found.get_attribute("href").startswith(first)


def test_the_table_of_claims_fits_a_desk_and_shows_on_a_phone_that_it_scrolls(chromium, site):
    """With the words of its verdicts whole."""
    (page_of_claims,) = site.glob("C_*.html")
    for width, (w, h) in WIDTHS.items():
        page = chromium.new_page(viewport={"width": w, "height": h})
        page.goto(page_of_claims.as_uri())
        boxes = page.locator(".pst-scrollable-table-container").all()
        assert boxes
        for box in boxes:
            more = box.evaluate("box => box.scrollWidth - box.clientWidth")
            shadow = box.evaluate("box => getComputedStyle(box).backgroundImage")
            if width == "desk":
                assert more <= 0
            elif more > 0:
                assert "gradient" in shadow
