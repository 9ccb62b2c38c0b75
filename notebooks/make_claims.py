"""Write the tables of appendix C: `python -m notebooks.make_claims`."""

import tomllib
from pathlib import Path

import nbformat

from notebooks.execute import text_of

HERE = Path(__file__).parent
PAGE = HERE / "C_claims_of_the_chapter.ipynb"
HEAD = [
    "| | the source chapter says | verdict | what holds | shown in |",
    "|---|---|---|---|---|",
]


def read():
    """The claims, as dicts, in the order of the file."""
    text = (HERE / "claims.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["claim"]


def table(claims):
    """Claims as a Markdown table."""
    lines = list(HEAD)
    for claim in claims:
        cells = [
            str(claim["number"]),
            quoted(claim["quote"]),
            claim["verdict"],
            f"{claim['holds']} *{claim['source']}*",
            link(claim["shown"]),
        ]
        lines.append("| " + " | ".join(map(without_bars, cells)) + " |")
    return "\n".join(lines)


def quoted(text):
    """A quotation in its marks; (what is not there) needs none."""
    return text if text.startswith("(") else f"\u201c{text}\u201d"


def without_bars(text):
    """Bars would end a cell: escaped in code, spelled out in formulas."""
    parts = text.split("`")
    parts[::2] = [part.replace("|", r"\vert ") for part in parts[::2]]
    parts[1::2] = [part.replace("|", r"\|") for part in parts[1::2]]
    return "`".join(parts)


def link(shown):
    """A link to chapter#heading, named by the chapter's number."""
    page, _, heading = shown.partition("#")
    own = page == PAGE.stem
    file = "" if own else f"{page}.ipynb"
    return f"[{'below' if own else page.split('_')[0]}]({file}#{heading})"


def with_tables(notebook, claims):
    """The notebook with each part's table below the part's heading."""
    parts = dict.fromkeys(claim["part"] for claim in claims)
    for part in parts:
        own = [claim for claim in claims if claim["part"] == part]
        cells = [
            cell
            for cell in notebook.cells
            if cell.cell_type == "markdown"
            and cell.source.startswith(f"## {part}\n")
        ]
        if len(cells) != 1:
            raise ValueError(
                f"appendix C needs one cell headed '## {part}'; "
                f"found {len(cells)}"
            )
        words = cells[0].source.split("\n| |")[0].rstrip()
        cells[0].source = f"{words}\n\n{table(own)}"
    return notebook


def main():
    """What `python -m notebooks.make_claims` does."""
    notebook = nbformat.read(PAGE, as_version=4)
    text = text_of(with_tables(notebook, read()))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
