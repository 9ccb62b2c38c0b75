"""Derive slides from chapters: `make slides`.

Usage: python -m course.make_slides FOLDER

A slide shows the first sentences of a section, its equations and tables, its pictures,
and short code with what it prints; the whole text of the section is in the speaker's
notes (press S). reveal.js and MathJax are copied beside the slides, so that they need no network.
"""

import html
import importlib.util
import re
import shutil
import sys
from pathlib import Path

import nbformat
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = ("00", "01", "03", "19")
SENTENCES, CODE, PRINTED, ROWS = 3, 14, 14, 9  # at most so many lines of each on a slide
LEFT_OUT = {"References", "Next", "Find your way"}
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<link rel="stylesheet" href="lib/reveal.css"><link rel="stylesheet" href="lib/white.css">
<style>
.reveal {{ font-size: 28px }} .reveal h1 {{ font-size: 1.8em }} .reveal h2 {{ font-size: 1.4em }}
.reveal h1, .reveal h2, .reveal h3 {{ text-transform: none }}
.reveal section {{ text-align: left }} .reveal section img {{ margin: 0 auto; max-height: 560px }}
.reveal pre {{ font-size: 19px; width: 100%; box-shadow: none; margin: 8px 0;
  box-sizing: border-box }}
.reveal pre.code {{ background: #f5f5f5; padding: 6px }} .reveal table {{ font-size: 22px }}
.byzlib-slider input {{ margin: 0 }} .byzlib-slider img {{ max-height: 460px !important }}
</style></head>
<body><div class="reveal"><div class="slides">
{slides}
</div></div>
<script>MathJax = {{ svg: {{ fontCache: "global" }} }};</script>
<script src="lib/tex-svg-full.js"></script>
<script src="lib/reveal.js"></script><script src="lib/notes.js"></script>
<script>Reveal.initialize({{ width: 1280, height: 760, hash: true, slideNumber: true,
  plugins: [RevealNotes] }});</script>
</body></html>
"""

_markdown = MarkdownIt("commonmark").enable("table").use(
    dollarmath_plugin,
    renderer=lambda formula, options: (r"\[{}\]" if options["display_mode"] else r"\({}\)").format(
        html.escape(formula)
    ),
)  # fmt: skip


def sections(notebook):
    """The chapter as a list of sections, each a list of slides (HTML)."""
    made = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for heading, text in parts(cell.source):
                if heading:
                    made.append((heading, []))
                made[-1][1].extend(text_slides(heading, text))
        elif "hide-input" not in cell.metadata.get("tags", []):
            made[-1][1].extend(code_slides(cell))
    return [slides for heading, slides in made if heading.lstrip("# ") not in LEFT_OUT and slides]


def parts(source):
    """(heading or "", text) of each part of a cell that begins with a heading."""
    for part in re.split(r"^(?=#{1,2} )", source, flags=re.MULTILINE):
        first, _, rest = part.partition("\n")
        if first.startswith("#"):
            yield first, rest
        elif part.strip():
            yield "", part


def text_slides(heading, text):
    """A slide with the gist of a text, and the text as notes; exercises get one each."""
    if "**" in text and re.search(r"^\*\*\d+\.\d", text, re.MULTILINE):
        for question in re.split(r"^(?=\*\*\d+\.\d)", text, flags=re.MULTILINE):
            if question.strip():
                asked = question.split("<details>")[0]
                yield slide(f"{heading}\n\n{asked}", question)
                heading = ""
    elif heading or "$$" in text or "|---" in text:
        yield slide(f"{heading}\n\n{gist(text)}", text)


def gist(text):
    """The first sentences, every displayed equation, and every short table."""
    blocks, kept, left = re.split(r"\n\s*\n", text.strip()), [], SENTENCES
    for block in blocks:
        lines = block.splitlines()
        if block.startswith("$$"):
            kept.append(block)
        elif block.startswith("|"):
            kept.append("\n".join(lines[: ROWS + 2]))
        elif left > 0 and not block.startswith("<"):
            kept.append("\n".join(lines[:left]))
            left -= len(lines)
    return "\n\n".join(kept)


def code_slides(cell):
    """Pictures, and short code that prints something."""
    printed = "".join(o.text for o in cell.outputs if o.output_type == "stream").splitlines()
    source = [line for line in cell.source.splitlines() if line.strip()]
    if printed and len(source) <= CODE and len(printed) <= PRINTED:
        code, shown = html.escape(cell.source), html.escape("\n".join(printed))
        yield f'<section><pre class="code">{code}</pre><pre>{shown}</pre></section>'
    elif printed and len(printed) <= PRINTED:
        yield f"<section><pre>{html.escape(chr(10).join(printed))}</pre></section>"
    for output in cell.outputs:
        data = output.get("data", {})
        if "image/png" in data:
            alt = html.escape(output.metadata.get("image/png", {}).get("alt", ""))
            picture = "".join(data["image/png"].split())
            yield f'<section><img alt="{alt}" src="data:image/png;base64,{picture}"></section>'
        elif "byzlib-slider" in data.get("text/html", ""):
            yield f"<section>{data['text/html']}</section>"


def slide(text, notes):
    body, said = (_markdown.render(_without_links(part)) for part in (text, notes))
    return f'<section>{body}<aside class="notes">{said}</aside></section>'


def _without_links(text):
    """Without links to other files of the book, which do not lie beside the slides."""
    return re.sub(r"\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", text)


def page(notebook):
    title = notebook.cells[0].source.splitlines()[0].lstrip("# ")
    columns = [f"<section>{''.join(slides)}</section>" for slides in sections(notebook)]
    return PAGE.format(title=html.escape(title), slides="\n".join(columns))


def libraries():
    """The files that every set of slides needs, from packages that carry them."""
    reveal = Path(importlib.util.find_spec("sphinx_revealjs").origin).parent / "_static/revealjs"
    mathjax = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent
    yield from (reveal / "dist/reveal.js", reveal / "dist/reveal.css")
    yield from (reveal / "dist/theme/white.css", reveal / "plugin/notes/notes.js")
    yield mathjax / "static/mathjax/tex-svg-full.js"


def main(folder):
    folder = Path(folder)
    (folder / "lib").mkdir(parents=True, exist_ok=True)
    for path in libraries():
        shutil.copy(path, folder / "lib")
    css = folder / "lib/white.css"  # the theme's own fonts are left out: any sans serif does
    css.write_text(re.sub(r"@import[^;]*;", "", css.read_text(encoding="utf-8")), encoding="utf-8")
    for number in CHAPTERS:
        (path,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
        target = folder / f"{path.stem}.html"
        target.write_text(page(nbformat.read(path, as_version=4)), encoding="utf-8")
        print(target)


if __name__ == "__main__":
    main(sys.argv[1])
