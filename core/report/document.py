"""A report as blocks, and the same blocks as HTML and as PDF (typst, which needs neither a network nor a browser)."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import typst

from core.report.letters import FIRST, PACKAGE_FONTS, letters_of
from core.report.printed_tables import PrintedTable, html_text, without_turns
from core.report.table_layout import Paper, breakable, kept_together


@dataclass(frozen=True)
class Heading:
    """A heading of level 1 or 2, and what is said of the whole section."""

    text: str
    level: int = 1
    stamp: str = ""  # "planned: ..." or "exploratory"


@dataclass(frozen=True)
class Paragraph:
    """Plain text; a warning stands in a frame."""

    text: str
    is_warning: bool = False


@dataclass(frozen=True)
class Listing:
    """Short lines below each other."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """A figure of 174 mm."""

    svg: bytes
    caption: str
    width_mm: float = 174.0


Block = Heading | Paragraph | Listing | Picture | PrintedTable


# -------------------------------------------------------------------------------------------------------------- HTML
_STYLE = """
body { background: white; color: #111; font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
       padding: 0 1rem }
h1 { font-size: 1.7rem } h2 { margin-top: 2.2rem; border-bottom: 1px solid #ccc } h3 { margin-bottom: .3rem }
.stamp { font-size: .8rem; border: 1px solid #555; border-radius: 3px; padding: 0 .4rem; margin-left: .5rem }
.warning { border-left: 4px solid #b35900; padding: .4rem .8rem; background: #fff7ed }
table { border-collapse: collapse; font-size: .8rem; border-top: 2px solid #111; border-bottom: 2px solid #111;
        margin: .6rem 0 }
caption { text-align: left; font-weight: bold; padding: .3rem 0 }
thead tr:last-child th { border-bottom: 1px solid #111 }
th, td { text-align: left; vertical-align: top; padding: .15rem .6rem .15rem 0 }
.wide { overflow-x: auto } figure { margin: 1rem 0 } img { max-width: 100%; height: auto }
figcaption, .note { font-size: .85rem; color: #333 }
@media print {
  @page { size: A4; margin: 15mm }
  body { font-size: 10pt; max-width: none; margin: 0; padding: 0 }
  table { font-size: 7pt } .wide { overflow: visible } figcaption, .note { font-size: 8pt }
  th, td { padding: .1rem .35rem .1rem 0 }
  h1, h2, h3, caption { break-after: avoid } figure, tr { break-inside: avoid } thead { display: table-header-group }
}
"""


def to_html(title: str, blocks: Sequence[Block]) -> bytes:
    """One file with everything in it."""
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html_text(title)}</title><style>{_STYLE}</style></head><body><h1>{html_text(title)}</h1>",
        *map(_html_block, blocks),
        "</body></html>",
    ]
    return ("\n".join(parts) + "\n").encode()


def _html_block(block: Block) -> str:
    match block:
        case Heading():
            stamp = f'<span class="stamp">{html_text(block.stamp)}</span>' if block.stamp else ""
            return f"<h{block.level + 1}>{html_text(block.text)}{stamp}</h{block.level + 1}>"
        case Paragraph():
            kind = ' class="warning"' if block.is_warning else ""
            return f"<p{kind}>{html_text(block.text)}</p>"
        case Listing():
            return "<ul>" + "".join(f"<li>{html_text(item)}</li>" for item in block.items) + "</ul>"
        case Picture():
            data = base64.b64encode(block.svg).decode()
            alt = html_text(block.caption)
            return (f'<figure><img alt="{alt}" src="data:image/svg+xml;base64,{data}">'
                    f"<figcaption>{html_text(block.caption)}</figcaption></figure>")  # fmt: skip
        case PrintedTable():
            return _html_table(block)


def _html_table(table: PrintedTable) -> str:
    spans = "".join(f'<th colspan="{width}">{html_text(text)}</th>' for text, width in table.spans)
    head = (f"<tr>{spans}</tr>" if spans else "") + "<tr>" + "".join(
        f"<th>{html_text(name)}</th>" for name in table.columns) + "</tr>"  # fmt: skip
    body = "".join("<tr>" + "".join(f"<td>{html_text(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    notes = "".join(f'<p class="note">{html_text(note)}</p>' for note in table.notes)
    caption = f"<caption>{html_text(table.title)}</caption>"
    return f'<div class="wide"><table>{caption}<thead>{head}</thead><tbody>{body}</tbody></table></div>{notes}'


# --------------------------------------------------------------------------------------------------------------- PDF
_PREAMBLE = """
#set document(title: {title}, date: none)
#set page(paper: "a4", margin: (x: 18mm, y: 20mm), numbering: "1 / 1", footer-descent: 40%)
#set text(font: ({fonts}), size: 10pt, lang: "en")
#set par(justify: false, leading: 0.6em)
#show heading.where(level: 1): set block(above: 1.6em, below: 0.8em)
#show heading.where(level: 2): set block(above: 1.3em, below: 0.6em)
#show figure: set block(breakable: true)
#let stamp(body) = box(stroke: 0.5pt, inset: (x: 3pt, y: 2pt), radius: 2pt, text(size: 8pt, weight: "regular", body))
#let warning(body) = block(stroke: (left: 3pt + rgb("#b35900")), fill: rgb("#fff7ed"), inset: 6pt, width: 100%, body)
#let rule(weight) = table.hline(stroke: weight)
#text(size: 17pt, weight: "bold", {title})
"""


def to_pdf(title: str, blocks: Sequence[Block]) -> bytes:
    """The same as A4 pages; the same blocks give the same bytes."""
    with tempfile.TemporaryDirectory(prefix="reading-room-report-") as folder:
        root = Path(folder)
        letters = letters_of(texts_of(title, blocks))
        fonts = ", ".join(_string(name) for name in ("Libertinus Serif", FIRST, *letters.families))
        lines = [_PREAMBLE.replace("{title}", _string(title)).replace("{fonts}", fonts)]
        (root / "fonts").mkdir()
        for number, file in enumerate(letters.files):
            (root / "fonts" / f"{number}{Path(file).suffix}").symlink_to(file)
        for number, block in enumerate(blocks):
            if isinstance(block, Picture):
                (root / f"{number}.svg").write_bytes(block.svg)
            lines.append(_typst_block(block, number))
        (root / "report.typ").write_text("\n".join(lines), encoding="utf-8")
        paths = [str(PACKAGE_FONTS), str(root / "fonts")]  # no other font of the machine changes a page
        return bytes(
            typst.compile(str(root / "report.typ"), root=str(root), font_paths=paths, ignore_system_fonts=True)
        )


def texts_of(title: str, blocks: Sequence[Block]) -> Iterator[str]:
    """Every text that is set in letters; those within pictures are drawn already."""
    yield title
    for block in blocks:
        match block:
            case Heading():
                yield from (block.text, block.stamp)
            case Paragraph():
                yield block.text
            case Listing():
                yield from block.items
            case Picture():
                yield block.caption
            case PrintedTable():
                yield from (block.title, *block.columns, *block.notes, *(text for text, _ in block.spans))
                yield from (cell for row in block.rows for cell in row)


def _string(text: str) -> str:
    """A typst string that holds exactly this text."""
    escaped = (
        without_turns(text)
        .replace("\\", "\\\\")
        .replace('"', '\\"')
        .replace("\n", "\\n")
        .replace("\r", "")
        .replace("\t", " ")
    )
    return f'"{escaped}"'


def _typst_block(block: Block, number: int) -> str:
    match block:
        case Heading():
            stamp = f" #h(4pt) #stamp({_string(block.stamp)})" if block.stamp else ""
            return f"#heading(level: {block.level})[#{_string(block.text)}{stamp}]"
        case Paragraph():
            text = f"#{_string(block.text)}"
            return f"#warning[{text}]" if block.is_warning else f"#par[{text}]"
        case Listing():
            return "#list(" + ", ".join(f"[#{_string(item)}]" for item in block.items) + ")" if block.items else ""
        case Picture():
            return (f'#block(breakable: false, width: 100%)[#image("{number}.svg", width: {block.width_mm}mm, '
                    f"alt: {_string(block.caption)})\n#text(size: 8.5pt)[#{_string(block.caption)}]]")  # fmt: skip
        case PrintedTable():
            return "\n".join(map(_typst_table, block.parts(PDF_PAPER)))


#: A4 between its margins; the gap is both insets of a cell.
PDF_PAPER = Paper(493.0, 739.0, (8.5, 8.0, 7.5, 7.0, 6.5), 7.0)


def _typst_table(table: PrintedTable) -> str:
    """Rules above, below the head and below; a head that repeats on every page."""
    plan = table.layout(PDF_PAPER)
    widths = ", ".join("auto" if width is None else f"{width:.1f}fr" for width in plan.widths)
    spans = "".join(f"table.cell(colspan: {width})[*#{_string(text)}*], " for text, width in table.spans)
    head = ", ".join(f"[*#{_string(name)}*]" for name in table.columns)
    cells = "".join(
        f"[#{_string(breakable(kept_together(cell)))}], " for row in table.rows for cell in row
    )  # none of a table without rows
    notes = "".join(f"#text(size: 8pt)[#{_string(note)}]\\\n" for note in table.notes)
    body = (
        f"#block(above: 1em, below: 0.4em, sticky: true)[#strong[#{_string(table.title)}]]\n"
        f"#text(size: {plan.size}pt)[#table(columns: ({widths},), stroke: none, align: left, "
        f"inset: (x: 3pt, y: 2.4pt), "
        f"table.header(rule(0.9pt), {spans}{head}, rule(0.5pt)), {cells}rule(0.9pt))]\n{notes}"
    )
    return f"#page(flipped: true)[{body}]" if plan.is_turned else body
