"""One HTML page that needs nothing else: how it looks, and how tables and texts are put into it.

Whatever comes from a scenario or a result is escaped here; `report` hands over plain text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

CSS = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem; font: 1rem/1.5 system-ui, "Segoe UI",
  Roboto, "Liberation Sans", sans-serif; color: #222; background: #fff; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .5rem; border-bottom: 1px solid #ccc; }
p, li { max-width: 46rem; overflow-wrap: anywhere; }
a { color: #0055a5; }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; padding: 0; }
figure { margin: 1rem 0 1.5rem; }
figure svg { display: block; width: 100%; height: auto; max-width: 54rem; }
figcaption { font-weight: 600; margin-bottom: .3rem; }
.scroll { overflow-x: auto; }
.scroll:focus-visible { outline: 2px solid #0055a5; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { border-bottom: 1px solid #ddd; padding: .3rem .7rem .3rem 0; text-align: left;
  vertical-align: top; }
thead th { border-bottom: 2px solid #888; vertical-align: bottom; }
tbody th { font-weight: 400; min-width: 9rem; }
td { min-width: 6rem; }
td small { color: #555; white-space: nowrap; }
.cautions { border-left: .4rem solid #d55e00; background: #fdf3ec; padding: .5rem 1rem; }
.cautions h2 { border: 0; margin: 0; }
.cautions ul { padding-left: 1.2rem; margin: .5rem 0; }
pre { background: #f5f5f5; padding: .8rem; overflow-x: auto; font-size: .85rem; }
summary { cursor: pointer; }
footer { margin-top: 2rem; color: #555; font-size: .85rem; }
@media screen and (max-width: 40rem) { figure svg { min-width: 28rem; } }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav, summary::marker { display: none; }
  figure, tr, .cautions { break-inside: avoid; }
  h2, figcaption, caption { break-after: avoid; }
  .scroll { overflow: visible; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  table { font-size: 8pt; }
}
"""


@dataclass(frozen=True, slots=True)
class Table:
    """Plain texts in rows; the first of each row names it. A cell's second line is small."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def page(title: str, sections: Sequence[tuple[str, str, str]], opening: str, closing: str) -> bytes:
    """The whole page: sections as (anchor, title, HTML), between an opening and a closing."""
    links = "".join(f'<li><a href="#{at}">{escape(head)}</a></li>' for at, head, _ in sections)
    body = "".join(
        f'<section aria-labelledby="{at}">\n<h2 id="{at}">{escape(head)}</h2>\n{html}</section>\n'
        for at, head, html in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # No script, no network, whatever a scenario's author has written into it.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src'
        " 'unsafe-inline'; img-src data:\">\n"
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        f"<header>\n<h1>{escape(title)}</h1>\n{opening}</header>\n"
        f'<nav aria-label="Contents"><ul>{links}</ul></nav>\n'
        f"<main>\n{body}</main>\n<footer>{closing}</footer>\n</body>\n</html>\n"
    ).encode()


def table(made: Table) -> str:
    """A table with its headers, which scrolls by itself where a screen is narrow."""
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in made.heads)
    rows = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{_cell(cell)}</td>" for cell in row[1:])
        + "</tr>\n"
        for row in made.rows
    )
    caption = escape(made.caption)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{caption}">\n<table>\n'
        f"<caption>{caption}</caption>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n"
        "</table>\n</div>\n"
    )


def _cell(text: str) -> str:
    first, *rest = text.split("\n")
    return escape(first) + "".join(f"<br><small>{escape(line)}</small>" for line in rest)


def figure(title: str, svg: str) -> str:
    """A picture with its title; the picture carries its own words."""
    return (
        f"<figure>\n<figcaption>{escape(title)}</figcaption>\n"
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(title)}">\n{svg}\n'
        "</div>\n</figure>\n"
    )


def paragraphs(text: str) -> str:
    """Plain text, a paragraph for each that an empty line ends."""
    parts = (part.strip() for part in text.split("\n\n"))
    return "".join(f"<p>{escape(part)}</p>\n" for part in parts if part)


def listed(items: Sequence[str]) -> str:
    """A list of plain texts."""
    return "<ul>\n" + "".join(f"<li>{escape(item)}</li>\n" for item in items) + "</ul>\n"


def folded(summary: str, html: str) -> str:
    """Something that is read when it is wanted."""
    return f"<details>\n<summary>{escape(summary)}</summary>\n{html}</details>\n"


def verbatim(text: str) -> str:
    """A text as it stands."""
    return f"<pre>{escape(text)}</pre>\n"


def link(address: str, text: str) -> str:
    """A source to read on at; nothing of it is loaded."""
    return f'<a href="{escape(address)}" rel="noreferrer">{escape(text)}</a>'
