"""The whole book as one PDF, answers last: `make pdf`.

The pages of the site are printed by a Chromium without a window.

Usage: python -m notebooks.build_pdf [FOLDER]
"""

import io
import sys
from pathlib import Path

from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, NameObject
from tqdm import tqdm

from notebooks.browser import chromium, missing

SHEET = {"format": "A4", "print_background": True}
SHEET["margin"] = dict.fromkeys(("top", "bottom", "left", "right"), "15mm")

# Answers leave their exercise for the end of the book.
PREPARE = """() => {
  const article = document.querySelector("article");
  document.body.replaceChildren(article);
  const away = "details.hide, mjx-assistive-mml, .headerlink, .copybtn";
  article.querySelectorAll(away).forEach(part => part.remove());
  const answers = [];
  for (const fold of article.querySelectorAll("details")) {
    let exercise = fold.previousElementSibling;
    while (exercise && !exercise.querySelector("strong"))
      exercise = exercise.previousElementSibling;
    fold.querySelector("summary").remove();
    const name = exercise ? exercise.querySelector("strong").textContent : "";
    answers.push(`<h3>${name}</h3>` + fold.innerHTML);
    const note = document.createElement("p");
    note.innerHTML = "<em>The answer stands at the end of the book.</em>";
    fold.replaceWith(note);
  }
  return answers;
}"""

ANSWERS = "text => document.querySelector('article').innerHTML = text"


def pdf(build="_build"):
    """Print the built site into book.pdf beside it, and say where it is."""
    site, target = Path(build) / "html", Path(build) / "book.pdf"
    first, last = site / "index.html", site / "references.html"
    pages = [first, *sorted(site.glob("[0-9A-C]*.html")), last]
    whole, starts, answers = PdfWriter(), {}, []
    with chromium() as browser:
        page = browser.new_page()
        page.emulate_media(media="print", color_scheme="light")
        for path in tqdm(pages, desc="printing", disable=None):
            show(page, path)
            title = page.locator("h1").first.inner_text().rstrip("#")
            folded = page.evaluate(PREPARE)
            if folded:
                answers += [f"<h2>{title}</h2>", *folded]
            starts[path.name] = append(whole, page, title)
        show(page, first)
        page.evaluate(PREPARE)
        page.evaluate(ANSWERS, "<h1>Answers</h1>" + "".join(answers))
        append(whole, page, "Answers")
    lead_inside(whole, starts)
    whole.write(target)
    print(target)


def show(page, path):
    page.goto(path.resolve().as_uri())
    page.evaluate("window.MathJax && MathJax.startup.promise")


def append(whole, page, title):
    """Add what is shown, with a bookmark; the number of its first sheet."""
    start = len(whole.pages)
    sheets = PdfReader(io.BytesIO(page.pdf(**SHEET)))
    whole.append(sheets, import_outline=False)
    whole.add_outline_item(title, start)
    return start


def lead_inside(whole, starts):
    """A link from chapter to chapter leads to a sheet, not to a file."""
    for sheet in whole.pages:
        for link in sheet.get("/Annots", []):
            link = link.get_object()
            address = link.get("/A", {}).get("/URI", "")
            name = address.split("#")[0].rsplit("/", 1)[-1]
            if address.startswith("file:") and name in starts:
                del link["/A"]
                target = whole.pages[starts[name]].indirect_reference
                place = ArrayObject([target, NameObject("/Fit")])
                link[NameObject("/Dest")] = place


if __name__ == "__main__":
    if why := missing():
        sys.exit(f"The PDF is printed by a browser, and {why}.")
    pdf(*sys.argv[1:])
