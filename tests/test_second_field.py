"""A study of another organ, from an empty store to results: by commands, and the same by the store's own methods.

Two classes, three steps of confidence, three readers, a crossover with a washout under a frozen clock. The protocol is
the example of docs/protocol.md. Both ways must store the same protocol, the same orders and the same trail.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image
from typer.testing import CliRunner

import manage
from actions.analyse_study import analyse_study
from actions.import_cases import import_cases
from actions.import_model import import_predictions
from actions.models import declare_model
from actions.open_study import open_study, opening_checklist
from core.errors import AccessError, OutsideDatesError
from core.protocol import Arm, Design
from core.protocol_file import read_protocol, read_protocol_file
from core.settings import get_settings
from core.study import Answer, Role
from db import OPERATOR, Notary, Repository, create_store, open_store, store_url
from db.records import CheckState
from tests.stores import repository_of

KEY = "knee"
READERS = ("ann", "ben", "cem")
CASES = [(f"k{number:02d}", "fracture" if number % 3 == 0 else "none") for number in range(12)]
EXAMPLES = re.findall(
    r"```yaml\n(.*?)```", (Path(__file__).parents[1] / "docs" / "protocol.md").read_text(encoding="utf-8"), re.S
)
DATES = re.compile(r"^(opens_on|closes_on): .*\n", re.M)


def test_every_example_of_the_docs_is_a_protocol_and_every_design_has_one() -> None:
    protocols = [read_protocol(text) for text in EXAMPLES]
    assert [protocol.design for protocol in protocols] == list(Design)
    assert str(protocols[-1].opens_on) == "2026-03-02"


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("READING_ROOM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("READING_ROOM_DATABASE_URL", "")
    monkeypatch.setenv("READING_ROOM_BACKUP_FOLDER", "")
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def write_files(folder: Path) -> None:
    """Protocol, images with their manifest, predictions of a model from elsewhere."""
    folder.mkdir(exist_ok=True)
    (folder / "knee.yaml").write_text(DATES.sub("", EXAMPLES[-1]), encoding="utf-8")
    rng = np.random.default_rng(5)
    with (folder / "cases.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "case", "patient", "class", "cohort"])
        for case, truth in CASES:
            Image.fromarray(rng.integers(0, 255, (16, 16), dtype=np.uint8)).save(folder / f"{case}.png")
            rows.writerow([f"{case}.png", case, f"p-{case}", truth, "clinic"])
    with (folder / "model.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["case", "p_none", "p_fracture"])
        for number, (case, truth) in enumerate(CASES):
            share = 0.8 if (truth == "fracture") == (number != 3) else 0.1  # wrong once
            rows.writerow([case, f"{1 - share:.1f}", f"{share:.1f}"])


def command(*arguments: str, status: int = 0) -> str:
    """One command in this process, as a person types it."""
    done = CliRunner().invoke(manage.app, arguments)
    if status:
        assert done.exit_code == status, (arguments, done.output)
        return done.output + str(done.exception)
    assert done.exit_code == 0, (arguments, done.output, done.exception)
    return done.output


def set_up_by_commands(folder: Path) -> Repository:
    """From an empty store to an open study, nothing but commands."""
    command("protocol", "check", str(folder / "knee.yaml"))
    command("study", "create", KEY, "--protocol", str(folder / "knee.yaml"))
    command("import", str(folder / "cases.csv"), "--study", KEY)
    command("model", "import", str(folder / "model.csv"), "--name", "theirs", "--study", KEY)
    command("study", "declare-model", "theirs", "--study", KEY)
    for reader in READERS:
        command("person", "add", reader, "--years", "4")
        command("study", "add-reader", reader, "--study", KEY)
    assert "warning" in command("study", "checklist", "--study", KEY)
    refused = command("study", "state", "open", "--study", KEY, "--confirm", KEY, status=1)
    assert "truthers" in refused
    command("study", "state", "open", "--study", KEY, "--confirm", KEY, "--acknowledge", "all=an example")
    return Repository(open_store(store_url(get_settings())), OPERATOR, notary=Notary(get_settings().data_folder))


def set_up_by_methods(folder: Path) -> Repository:
    """The same through the store's methods, as the screens call them."""
    get_settings().make_data_folder()
    engine = create_store(store_url(get_settings()))
    operator = Repository(engine, OPERATOR, notary=Notary(get_settings().data_folder))
    operator.create_study(KEY, read_protocol_file(folder / "knee.yaml"))
    import_cases(operator, KEY, folder / "cases.csv")
    import_predictions(operator, KEY, folder / "model.csv", name="theirs", note="")
    declare_model(operator, KEY, "theirs")
    for reader in READERS:
        operator.create_person(reader, reader, Role.READER, password="quiet dark room 7", years_of_experience=4)
        operator.add_reader(KEY, reader)
    warnings = [item.key for item in opening_checklist(operator, KEY) if item.state is CheckState.WARNING]
    open_study(operator, KEY, typed_key=KEY, acknowledged=dict.fromkeys(warnings, "an example"))
    return operator


def stored(operator: Repository) -> dict[str, Any]:
    """Protocols, orders and trail without ids and instants."""
    with operator.engine.connect() as connection:
        protocols = connection.execute(sa.text("SELECT version, protocol FROM protocol_version ORDER BY version")).all()
        orders = connection.execute(
            sa.text(
                "SELECT login, position, case_key, arm, period, block, repeat, is_training FROM presentation "
                "JOIN person USING (person_id) JOIN study_case USING (case_id) ORDER BY login, position"
            )
        ).all()
    trail = [
        (event.actor, event.action, event.study_key, _without_digests(event.detail)) for event in operator.audit_trail()
    ]
    return {"protocols": [tuple(row) for row in protocols], "orders": [tuple(row) for row in orders], "trail": trail}


def _without_digests(detail: Any) -> Any:
    """Seals are over random ids and salts, so only what they speak of is the same in two stores."""
    if isinstance(detail, dict):
        return {
            key: _without_digests(value)
            for key, value in detail.items()
            if key not in ("sha256", "opened_at", "hash", "password")
        }
    return detail


def read_all(operator: Repository, clock: Clock) -> dict[tuple[str, Arm], int]:
    """Three readers read both periods; how many answers of each were right."""
    truth = dict(CASES)
    right: dict[tuple[str, Arm], int] = {}
    for login in READERS:  # the first password is changed before anything else
        (given,) = re.findall(r"password (\S+)", command("person", "password", login))
        desk = repository_of(operator.engine, operator.person(login), notary=Notary(get_settings().data_folder))
        desk.change_my_password(given, "a quiet dark room 77")
    desks = {
        login: repository_of(
            operator.engine, operator.person(login), notary=Notary(get_settings().data_folder), clock=clock
        )
        for login in READERS
    }
    with operator.engine.connect() as connection:
        case_of = dict(
            connection.execute(
                sa.text("SELECT presentation_id, case_key FROM presentation JOIN study_case USING (case_id)")
            ).all()
        )
    for period in (1, 2):
        if period == 2:
            opens_at = []
            for desk in desks.values():
                with pytest.raises(OutsideDatesError) as refused:
                    desk.next_presentation(KEY)
                opens_at.append(refused.value.opens_at)
            assert len(set(opens_at)) == len(READERS)  # each reader's own washout
            clock.now = max(opens_at)
        for number, (login, desk) in enumerate(desks.items()):
            while (place := desk.next_presentation(KEY)) is not None and place.period == period:
                case = case_of[place.presentation_id]
                if place.arm is Arm.AIDED:
                    given = desk.model_answer(place.presentation_id).class_key
                else:
                    with pytest.raises(AccessError):
                        desk.model_answer(place.presentation_id)
                    other = {"none": "fracture", "fracture": "none"}[truth[case]]
                    given = other if int(case[1:]) % 4 == number else truth[case]
                desk.save_reading(
                    place.presentation_id, Answer(given, 1 + place.position % 3), submit_id=place.presentation_id
                )
                right[login, place.arm] = right.get((login, place.arm), 0) + (given == truth[case])
                clock.now += timedelta(minutes=1)
                if place.position == len(CASES):
                    break
    return right


def test_commands_and_methods_make_the_same_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path / "files")
    found = {}
    for way, set_up in (("commands", set_up_by_commands), ("methods", set_up_by_methods)):
        monkeypatch.setenv("READING_ROOM_DATA_DIR", str(tmp_path / way))
        get_settings.cache_clear()
        operator = set_up(tmp_path / "files")
        found[way] = stored(operator)
        assert operator.verify_audit().is_intact
        operator.engine.dispose()
    for what in ("protocols", "orders", "trail"):
        assert found["commands"][what] == found["methods"][what], what
    assert len(found["commands"]["orders"]) == 3 * 2 * len(CASES)


def test_a_crossover_of_another_organ_goes_from_an_empty_store_to_results(tmp_path: Path) -> None:
    write_files(tmp_path / "files")
    operator = set_up_by_commands(tmp_path / "files")
    assert [member.group for member in operator.members(KEY)] == [1, 2, 1]
    assert {place.block for place in _order(operator, "ann")} == {1, 2, 3, 4}
    record = tmp_path / "record.html"
    command("study", "seal-record", "--study", KEY, "--output", str(record))
    began = datetime.now(UTC)
    clock = Clock()
    right = read_all(operator, clock)
    assert clock.now - began >= timedelta(days=28)
    assert all(desk.n_done == desk.n_total for desk in operator.progress(KEY))
    for state in ("closed", "locked", "unsealed"):
        command("study", "state", state, "--study", KEY)
    assert "agree" in command("study", "seal-record", "--study", KEY, "--check", str(record))
    assert "intact" in command("audit", "verify")

    summary = analyse_study(operator, KEY).to_tables()["summary"]
    accuracy = summary[(summary["quantity"] == "accuracy") & (summary["kind"] == "reader")]
    by_arm = {(row.participant, Arm(row.arm)): row.value for row in accuracy.itertuples()}
    assert by_arm == {key: pytest.approx(count / len(CASES)) for key, count in right.items()}
    assert [by_arm[login, Arm.AIDED] for login in READERS] == pytest.approx([11 / 12] * 3)  # the model is wrong once
    assert "declared in protocol version 2" in command("results", "--study", KEY, "--table", "summary")
    command("export", str(tmp_path / "out"), "--study", KEY)
    with (tmp_path / "out" / "readings.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 2 * len(CASES)
    assert {(row["group"], row["period"], row["arm"]) for row in rows} == {
        ("1", "1", "unaided"), ("1", "2", "aided"), ("2", "1", "aided"), ("2", "2", "unaided"),
    }  # fmt: skip
    assert {row["confidence_label"] for row in rows} == {"unlikely", "possible", "likely"}
    operator.engine.dispose()


def _order(operator: Repository, login: str) -> list[Any]:
    with operator.engine.connect() as connection:
        query = sa.text("SELECT * FROM presentation JOIN person USING (person_id) WHERE login = :login")
        return list(connection.execute(query, {"login": login}).all())


def test_protocol_commands_show_compare_and_describe(tmp_path: Path) -> None:
    write_files(tmp_path)
    shown = command("protocol", "show", str(tmp_path / "knee.yaml"))
    assert read_protocol(shown) == read_protocol_file(tmp_path / "knee.yaml")
    (tmp_path / "other.yaml").write_text(shown.replace("washout_days: 28", "washout_days: 14"), encoding="utf-8")
    assert "washout_days" in command(
        "protocol", "diff", str(tmp_path / "knee.yaml"), str(tmp_path / "other.yaml"), status=1
    )
    assert "same" in command("protocol", "diff", str(tmp_path / "knee.yaml"), str(tmp_path / "knee.yaml"))
    assert "No fracture or Fracture" in command("protocol", "methods", str(tmp_path / "knee.yaml"))
    (tmp_path / "bad.yaml").write_text(shown.replace("washout_days", "wash_out_days"), encoding="utf-8")
    assert "did you mean 'washout_days'" in command("protocol", "check", str(tmp_path / "bad.yaml"), status=1)
    command("study", "create", KEY, "--protocol", str(tmp_path / "knee.yaml"))
    assert "washout_days changed" in command("study", "protocol", str(tmp_path / "other.yaml"), "--study", KEY)
    assert read_protocol(command("protocol", "show", KEY)).washout_days == 14
