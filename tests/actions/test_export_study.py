"""Exported files: formulas neutralised, all digits kept, complete or not there."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.export_study import csv_file, export_study
from core.errors import ConflictError
from core.report.strict_csv import FORMULA_STARTS


@given(st.text(max_size=40))
def test_no_exported_text_begins_like_a_formula_and_none_is_lost(text: str) -> None:
    content = csv_file("t.csv", pd.DataFrame({"comment": [text], "n": [1]})).content
    back = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False, lineterminator="\n")["comment"].tolist()
    if "\r" in text or "\n" in text:  # the reader of this test cannot split quoted line ends; the start still counts
        assert not content.decode().splitlines()[1].lstrip('"').startswith(FORMULA_STARTS)
    else:
        assert back == [f"'{text}" if text.startswith(FORMULA_STARTS) else text]


def test_numbers_keep_all_digits_and_their_sign() -> None:
    file = csv_file("t.csv", pd.DataFrame({"value": [-1 / 3, 0.1 + 0.2, float("nan")]}))
    lines = file.content.decode().splitlines()
    assert [float(line) for line in lines[1:3]] == [-1 / 3, 0.1 + 0.2]
    assert lines[3] in ("", '""')
    assert file.n_rows == 3


def test_an_export_never_writes_into_a_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(ConflictError, match="not empty"):
        export_study(None, "demo", tmp_path)  # type: ignore[arg-type]  # refused before the store is asked
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
