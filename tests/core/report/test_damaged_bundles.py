"""Whatever was done to a bundle on its way is found and named, and never ends in a traceback."""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.analysis import analyse
from core.errors import ManifestError
from core.report import bundle as bundle_module
from core.report.bundle import (
    ANALYSIS,
    MANIFEST,
    about_analysis,
    is_bundle,
    read_bundle,
    result_files,
    write_bundle,
)
from core.report.excel_file import archive_bytes
from core.report.file_analysis import analyse_file
from core.report.layout import Layout
from core.report.readings_file import readings_files
from tests.core.analysis_studies import simulated_study

ROOT = Path(__file__).resolve().parents[3]
OPTIONS = {"confidence_level": 0.95, "margin": None, "missing": "common"}
FAST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def content():
    """A small bundle without pictures, which is good."""
    data = simulated_study(n_cases=10, readers=1, models=1)
    analysis = analyse(data, **OPTIONS)
    files = {ANALYSIS: readings_files(data, Layout.LONG)["analysis.csv"], **result_files(analysis)}
    return write_bundle(files, {"title": "A study", **about_analysis(data, OPTIONS)})


@pytest.fixture
def opened(tmp_path):
    """Opens bytes as a bundle, and looks at the hashes; a refusal is a problem too."""

    def problems(content):
        path = tmp_path / "b.zip"
        path.write_bytes(content)
        is_bundle(path)
        try:
            return list(bundle_module._hash_problems(read_bundle(path)))
        except ManifestError as refused:
            return [str(refused)]

    return problems


def members(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@FAST
@given(data=st.data())
def test_one_bit_of_any_file_is_named(content, opened, data):
    files = members(content)
    name = data.draw(st.sampled_from([MANIFEST, *sorted(files)]))
    at = data.draw(st.integers(0, 8 * len(files[name]) - 1))
    flipped = bytearray(files[name])
    flipped[at // 8] ^= 1 << at % 8
    problems = opened(archive_bytes({**files, name: bytes(flipped)}))
    assert any(name in problem for problem in problems)


@FAST
@given(data=st.data())
def test_files_that_were_swapped_renamed_added_or_removed_are_named(content, opened, data):
    files = members(content)
    one, other = data.draw(st.permutations(sorted(set(files) - {MANIFEST})))[:2]
    more = data.draw(st.text(st.characters(categories=("L", "N")), min_size=1, max_size=9)) + ".txt"
    changes = {
        "swapped": {**files, one: files[other], other: files[one]},
        "renamed": {(more if name == one else name): text for name, text in files.items()},
        "added": {**files, more: b"x"},
        "removed": {name: text for name, text in files.items() if name != one},
    }
    what = data.draw(st.sampled_from(sorted(changes)))
    problems = opened(archive_bytes(changes[what]))
    named = one if what != "added" else more
    assert files[one] == files[other] or any(named in problem for problem in problems)


@settings(FAST, max_examples=150)
@given(data=st.data())
def test_a_damaged_zip_file_is_refused_or_its_files_are_named(content, opened, data):
    """Cut, overwritten or with bytes put in, anywhere; what changes no file's content may pass."""
    at = data.draw(st.integers(0, len(content) - 1))
    junk = data.draw(st.binary(min_size=1, max_size=6))
    what = data.draw(st.sampled_from(["cut", "overwritten", "put in"]))
    damaged = {"cut": content[:at], "overwritten": content[:at] + junk + content[at + len(junk) :],
               "put in": content[:at] + junk + content[at:]}[what]  # fmt: skip
    problems = opened(damaged)
    if not problems:
        assert members(damaged) == members(content)
    if what == "cut":
        assert problems


@pytest.mark.parametrize("name", ["../up.txt", "/etc/passwd", "a/../../b", "a\\b", "C:/x", "a//b", "./a"])
def test_names_that_lead_out_of_the_folder_are_refused(content, opened, name):
    (problem,) = opened(archive_bytes({**members(content), name: b"x"}))
    assert "leads out of its folder" in problem


def test_links_and_names_that_differ_in_capitals_alone_are_refused(content, opened):
    stream = io.BytesIO(content)
    with zipfile.ZipFile(stream, "a") as archive:
        link = zipfile.ZipInfo("data/link.csv")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    assert "holds a link" in opened(stream.getvalue())[0]
    assert "two files of one name" in opened(archive_bytes({**members(content), ANALYSIS.upper(): b"x"}))[0]


def test_a_zip_bomb_is_refused_before_it_is_unpacked(content, opened, monkeypatch):
    monkeypatch.setattr(bundle_module, "_LARGEST", 10**6)
    bomb = archive_bytes({**members(content), "zeros": bytes(2 * 10**6)})
    assert len(bomb) < len(content) + 10_000
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("unpacked"))
    assert "larger than" in opened(bomb)[0]


@pytest.mark.parametrize(
    "change", [{"classes": [1]}, {"classes": []}, {"analysis": {"no": 1}}, {"declared_model": ["x"]},
               {"altered_answers": 3}, {"files": []}, {"version": "2"}],
)  # fmt: skip
def test_a_manifest_of_nonsense_with_a_hash_of_its_own_is_refused(content, tmp_path, change):
    files = members(content)
    manifest = {**json.loads(files[MANIFEST]), **change}
    manifest["sha256"] = bundle_module._manifest_hash(manifest)
    path = tmp_path / "b.zip"
    path.write_bytes(archive_bytes({**files, MANIFEST: json.dumps(manifest).encode()}))
    with pytest.raises(ManifestError):
        analyse_file(path)


def test_bytes_do_not_depend_on_hour_place_language_or_mask(content, tmp_path):
    """Another process in another time zone and language, with another order of sets and another mask for new files."""
    lines = (
        "import os; os.umask(0o077)",
        "from actions.bundle import bundle_of",
        "from core.analysis import analyse",
        "from core.report.study_record import StudyRecord",
        "from tests.core.analysis_studies import simulated_study",
        f"options = {OPTIONS!r}",
        "data = simulated_study(n_cases=10, readers=2, models=1)",
        "import sys; out = open(sys.argv[1], 'wb')",
        "out.write(bundle_of(StudyRecord('s', 'Ä study', data, analyse(data, **options), options), widths_mm=(84,)))",
    )
    made = []
    for place, language, seed in (("UTC", "C.UTF-8", "1"), ("Pacific/Apia", "de_DE.UTF-8", "2")):
        path = tmp_path / f"{seed}.zip"
        environment = {**os.environ, "TZ": place, "LC_ALL": language, "LANG": language, "PYTHONHASHSEED": seed,
                       "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}  # fmt: skip
        subprocess.run([sys.executable, "-c", "\n".join(lines), str(path)], check=True, env=environment, cwd=ROOT,
                       timeout=600)  # fmt: skip
        made.append(path.read_bytes())
    assert made[0] == made[1]
