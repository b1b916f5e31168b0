"""A whole study as one zip file: data, tables, figures, files for other programs, protocol, trail, report, manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from actions.study_record import study_record
from core.analysis import StudyAnalysis
from core.errors import ConflictError
from core.progress import OnProgress
from core.protocol_file import write_protocol
from core.protocol_text import methods_text
from core.report.bundle import PROTOCOL, about_analysis, result_files, table_csv, with_dictionary, write_bundle
from core.report.document import to_html, to_pdf
from core.report.figures import FORMATS, WIDTHS_MM, figure_plans, render
from core.report.layout import Layout
from core.report.readings_file import files_and_reasons, readings_files
from core.report.study_record import NOT_BLINDED_HERE, StudyRecord
from core.report.study_report import WIDTH_MM, report_blocks, undrawn_warning
from db import Repository

README = "README.txt"


def bundle_of(
    record: StudyRecord, progress: OnProgress | None = None, *, widths_mm: Sequence[int] = WIDTHS_MM
) -> bytes:
    """The zip file of a study; the same study gives the same bytes.

    Parameters
    ----------
    record : StudyRecord
    progress : callable, optional
        Told (done, total, what) for every figure, after the tables.
    widths_mm : sequence of int
        Of the figures.
    """
    plans = figure_plans(record.analysis, record.data.declared_model)
    total = len(plans) * len(widths_mm) + 2
    report = progress or (lambda done, total, what: None)
    report(0, total, "tables")
    files = {f"data/{name}.csv": table_csv(table) for name, table in record.tables.items()}
    files |= {f"data/{name}": content for name, content in readings_files(record.data, Layout.LONG).items()}
    files |= result_files(record.analysis, record.data.declared_model)
    files |= _files_for_others(record)
    if record.protocol is not None:
        files[PROTOCOL] = write_protocol(record.protocol).encode()
        files["methods.txt"] = (methods_text(record.protocol) + "\n").encode()
    if record.trail is not None:
        files["audit/trail.csv"] = table_csv(record.trail)
    done = 1
    captions = []
    for plan in plans:
        captions.append(f"{plan.name}: {plan.caption}")
        for width in widths_mm:
            report(done, total, plan.name.replace("_", " "))
            for ending, content in render(plan, width, FORMATS).items():
                files[f"figures/{plan.name}_{width}mm.{ending}"] = content
            done += 1
    report(done, total, "report")
    of_page = {plan.name: f"figures/{plan.name}_{WIDTH_MM}mm.svg" for plan in plans}
    blocks = report_blocks(record, {name: files[path] for name, path in of_page.items() if path in files})
    files["report/report.html"] = to_html(record.title, blocks)
    files["report/report.pdf"] = to_pdf(record.title, blocks)
    files["figures/captions.txt"] = ("\n".join(captions) + "\n").encode()
    files[README] = _readme(record).encode()
    content = write_bundle(with_dictionary(files, record.data.classes), _about(record))
    report(total, total, "done")
    return content


def _files_for_others(record: StudyRecord) -> dict[str, bytes]:
    """Files of other programs; which of them cannot be and why is said in a file beside them."""
    files: dict[str, bytes] = {}
    for layout in (Layout.IMRMC, Layout.RJAFROC, Layout.MRMCAOV, Layout.PROC):
        made, reasons = files_and_reasons(record.data, layout)
        files |= {f"others/{layout}/{name}": content for name, content in made.items()}
        if reasons:
            told = [f"{name}: {error}" for name, error in reasons.items()]
            files[f"others/{layout}/why-not.txt"] = ("\n".join(told) + "\n").encode()
    return files


def _about(record: StudyRecord) -> dict[str, object]:
    return {
        "study": record.key, "title": record.title, "protocol_version": record.protocol_version,
        "is_synthetic": record.is_synthetic, "is_blinded_here": record.is_blinded_here, "source": record.source,
        **about_analysis(record.data, record.options),
    }  # fmt: skip


def _readme(record: StudyRecord) -> str:
    lines = [record.title, "", "Research use only. Not a medical device."]
    if record.is_synthetic:
        lines.append("Synthetic images or simulated readers took part: the numbers say nothing about patients.")
    if not record.is_blinded_here:
        lines.append(NOT_BLINDED_HERE)
    lines += [warning for warning in (undrawn_warning(record),) if warning]
    lines += [
        "", "data/       readings, predictions, reference standard, and what every column means (dictionary.csv)",
        "tables/     every table of the analysis: CSV with all digits, Excel, LaTeX (booktabs), HTML for Word",
        "paper/      Table 1 and the layouts of a paper's performance tables",
        f"figures/    SVG, PDF and PNG at {', '.join(map(str, WIDTHS_MM))} mm, with captions.txt",
        "others/     files for iMRMC, RJafroc, MRMCaov, and a wide table for pROC",
        "audit/      the trail of the study", "report/     the report of the study",
        *([] if record.protocol is None else
          ["protocol.yaml, methods.txt  the protocol, and a Methods text that follows from it"]),
        "manifest.json  SHA-256 of every file, options of the analysis", "",
        "python manage.py verify-bundle FILE.zip   checks the hashes and makes every table again from the readings",
        "python manage.py analyse FILE.zip         shows the same numbers without the store", "",
    ]  # fmt: skip
    return "\n".join(lines)


def export_bundle(
    repository: Repository,
    study_key: str,
    path: Path | None = None,
    *,
    analysis: StudyAnalysis | None = None,
    progress: OnProgress | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> bytes:
    """Make the bundle of an unsealed study, write it if a path is given, and enter its hash in the trail.

    ``say`` is told what must be said of it: letters that no font has.

    Raises
    ------
    AccessError
        While the study is sealed.
    ConflictError
        If the file exists.
    """
    if path is not None and path.exists():
        raise ConflictError(f"{path} exists. Fix: name a new file; nothing was written.")
    record = study_record(repository, study_key, analysis)
    content = bundle_of(record, progress)
    if warning := undrawn_warning(record):
        say(warning)
    repository.record_export(study_key, "bundle", hashlib.sha256(content).hexdigest(), 0)
    if path is not None:
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(content)
        partial.replace(path)
    return content
