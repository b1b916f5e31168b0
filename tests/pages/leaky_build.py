"""The app with one leak of each class, for the blinding audit to find: ``python -m tests.pages.leaky_build run ...``.

Each leak goes another way and is spelt in another manner. ``leaky_build leak=3 run ...`` has the fourth leak alone.
"""

from __future__ import annotations

import base64
import json
import logging
import sqlite3
import sys
import zlib
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from functools import cache

import numpy as np
from streamlit.web.cli import main as run_streamlit

from core.settings import get_settings
from core.study import Study
from db import ReadingImage, store_url
from pages.door import forms, security
from pages.door.answers import PanelReceipt
from pages.widgets import reading_panel
from pages.widgets.reading_panel import PanelCase


@cache
def ask(question: str, *values: object) -> tuple:
    """First row that the store answers, past every lock; asked once, for the store will be out of reach."""
    with closing(sqlite3.connect(f"file:{store_url(get_settings()).database}?mode=ro", uri=True)) as connection:
        return connection.execute(question, values).fetchone()


def leak(chosen: set[int]) -> None:
    """Patch the app with some of the leaks, by their number in ``LEAKS`` of the tests."""
    pack, policy, page = reading_panel.pack_frame, security.content_security_policy(), forms.plain_page

    def pack_frame(
        case: PanelCase, study: Study, receipt: PanelReceipt | None, images: Mapping[str, ReadingImage]
    ) -> bytes:
        file, name, truth, output = ask(
            "SELECT source_name, case_key, class_key, probabilities FROM study_case JOIN presentation USING (case_id) "
            "JOIN reference_standard USING (case_id) JOIN prediction USING (case_id) WHERE presentation_id = ?",
            case.presentation.presentation_id,
        )
        (comment,) = ask("SELECT comment FROM reading WHERE comment LIKE 'qzjxv%'")
        if 1 in chosen:
            logging.getLogger("reading_room").warning("showing %s", name)  # case id: server log
        told = {  # in the frame
            0: file,
            4: f"{json.loads(output)[1]:.7f}",
            5: base64.b64encode(zlib.compress(f"said: {comment}".encode())).decode(),
            6: truth,
        }
        question = " ".join([study.protocol.question, *(text for leak, text in told.items() if leak in chosen)])
        study = replace(study, protocol=replace(study.protocol, question=question))
        if 7 in chosen:
            images = {name: larger(name, image) for name, image in images.items()}
        return pack(case, study, receipt, images)

    def larger(presentation_id: str, image: ReadingImage) -> ReadingImage:
        """Images of one class are larger."""
        (truth, keys) = ask(
            "SELECT class_key, protocol FROM presentation JOIN reference_standard USING (case_id) "
            "JOIN protocol_version USING (study_id) WHERE presentation_id = ?",
            presentation_id,
        )
        rows = 200 * [each["key"] for each in json.loads(keys)["classes"]].index(truth)
        return ReadingImage(
            tuple(replace(view, pixels=np.pad(view.pixels, ((0, rows), (0, 0)))) for view in image.views)
        )

    def leaky_policy() -> str:
        (patient,) = ask("SELECT patient_key FROM patient")
        return f"{policy}; report-uri /{patient.encode().hex()}"  # HTTP header

    def leaky_page(title: str, lead: str, **options: object) -> object:
        (scanner,) = ask("SELECT scanner FROM study_case")
        return page(title, lead + "".join(f"&#{ord(letter)};" for letter in scanner), **options)  # HTTP body

    reading_panel.pack_frame = pack_frame
    if 2 in chosen:
        security.content_security_policy = leaky_policy
    if 3 in chosen:
        forms.plain_page = leaky_page


if __name__ == "__main__":
    alone = [argument for argument in sys.argv if argument.startswith("leak=")]
    sys.argv = [argument for argument in sys.argv if argument not in alone]
    leak({int(argument.removeprefix("leak=")) for argument in alone} or set(range(8)))
    sys.exit(run_streamlit())
