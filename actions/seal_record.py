"""The seal record of a study: one page that can be printed and deposited, and held against the study later."""

from __future__ import annotations

import html
import re
from pathlib import Path

from core.errors import InputError
from db.records import SealRecord

_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")

_STYLE = """
body { font: 10pt/1.35 sans-serif; margin: 18mm; color: #000; background: #fff; }
h1 { font-size: 15pt; margin: 0 0 2mm; }
table { border-collapse: collapse; width: 100%; margin: 3mm 0; }
th, td { text-align: left; padding: 1mm 2mm; border-bottom: 0.2mm solid #888; vertical-align: top; }
.digest { font: 7.5pt monospace; word-break: break-all; }
.sign { margin-top: 14mm; border-top: 0.2mm solid #000; width: 80mm; }
"""

_WHAT_IT_IS = (
    "Each digest was made when the study was opened. It tells nothing of what it holds, and any later change gives "
    "another digest. Deposit this page where nobody of the study can alter it."
)


def seal_record_text(record: SealRecord) -> str:
    """Plain text, one commitment a line."""
    lines = [
        f"Seal record of study '{record.study_key}': {record.title}",
        f"Opened {record.opened_at:%Y-%m-%d %H:%M:%S} UTC. Research use only.",
        "",
        _WHAT_IT_IS,
        "",
        *(f"{what}: {digest}" for what, digest in _commitments(record)),
        "",
        f"Receipt of the audit trail at the opening: {record.receipt}",
        _standing(record),
    ]
    return "\n".join(lines) + "\n"


def seal_record_html(record: SealRecord) -> str:
    """A page that prints on one sheet; nothing in it is fetched from elsewhere."""
    rows = "".join(
        f'<tr><td>{html.escape(what)}</td><td class="digest">{digest}</td></tr>'
        for what, digest in _commitments(record)
    )
    title = html.escape(f"Seal record of study '{record.study_key}'")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1>"
        f"<p>{html.escape(record.title)}<br>Opened {record.opened_at:%Y-%m-%d %H:%M:%S} UTC. Research use only.</p>"
        f"<p>{_WHAT_IT_IS}</p><table><tr><th>What</th><th>SHA-256</th></tr>{rows}</table>"
        f'<p>Receipt of the audit trail at the opening:<br><span class="digest">{record.receipt}</span></p>'
        f'<p>{html.escape(_standing(record))}</p><p class="sign">Date, name, signature</p></body></html>\n'
    )


def write_seal_record(record: SealRecord, path: Path) -> None:
    """Write the page (.html) or the text into a new file.

    Raises
    ------
    InputError
        If the file exists, or cannot be written.
    """
    is_page = path.suffix.casefold() in (".html", ".htm")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(seal_record_html(record) if is_page else seal_record_text(record))
    except FileExistsError:
        raise InputError("there is such a file already", file=path, fix="name a new file") from None
    except OSError as failure:
        raise InputError("cannot be written", file=path, value=failure.strerror, fix="name another place") from None


def check_seal_record(record: SealRecord, deposited: Path) -> list[str]:
    """What a deposited record (text or HTML) and the study do not agree in; none if they do.

    Raises
    ------
    InputError
        If the file cannot be read, or holds no digest.
    """
    try:
        found = set(_DIGEST.findall(deposited.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError):
        raise InputError("cannot be read as text", file=deposited, fix="name the file of 'study seal-record'") from None
    if not found:
        fix = "name the file of 'study seal-record'"
        raise InputError("this is no seal record: it holds no SHA-256", file=deposited, fix=fix)
    now = {digest: what for what, digest in _commitments(record)} | {record.receipt.partition(":")[2]: "the receipt"}
    problems = [f"{what} is not the one of the deposited record" for digest, what in now.items() if digest not in found]
    if found - set(now):
        problems.append(f"{len(found - set(now))} digests of the deposited record are of something else")
    return [*problems, *record.problems]


def _commitments(record: SealRecord) -> list[tuple[str, str]]:
    """What was committed to, and its digest."""
    return [
        (f"Protocol, version {record.protocol_version}", record.protocol_sha256),
        ("Analysis plan", record.plan_sha256),
        *((f"{part.capitalize()}, {n} rows", digest) for part, n, digest in record.parts),
        *((f"Order of {login}, seed {seed}, {algorithm}", digest) for login, seed, algorithm, digest in record.orders),
    ]


def _standing(record: SealRecord) -> str:
    """Whether it holds at this moment."""
    if not record.problems:
        return "When this page was made, all of it was as it was sealed."
    return "When this page was made, this was not as it was sealed: " + "; ".join(record.problems)
