"""PostgreSQL: a reader's deeds run under a role that has no right to the truth, and a reading session works."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import DBAPIError

from core.errors import AccessError, SettingsError, StoreError
from core.settings import Settings
from core.study import Answer, StudyState
from db import Notary, Repository, create_store, store_url
from db.reader_role import (
    ensure_reader_role,
    make_reader_role,
    open_reader_engine,
    printed_statements,
    reader_url_of,
    rights,
)
from db.tables import Base
from tests.db.conftest import CHEAP, STUDY, Room
from tests.stores import repository_of

pytestmark = pytest.mark.postgresql

#: What the truth of a case, or who it is, could be read from.
SECRET = ("reference_standard", "lesion_mask", "prediction", "model_version", "study_case", "patient", "cohort")


@dataclass(frozen=True)
class Desk:
    """A store with its readers' role."""

    room: Room
    url: str
    reader_url: URL
    engine: Engine  # of the role


@pytest.fixture
def desk(postgresql, repository_on, tmp_path: Path) -> Iterator[Desk]:
    url = postgresql.new_store(tmp_path)
    room: Room = repository_on(url)
    role = f"readers_{secrets.token_hex(4)}"
    reader_url = make_url(url).set(username=role, password="p%a'ss")
    make_reader_role(url, reader_url)
    engine = open_reader_engine(room.operator.engine, reader_url)
    yield Desk(room, url, reader_url, engine)
    engine.dispose()
    with room.operator.engine.begin() as connection:
        connection.exec_driver_sql(f'DROP OWNED BY "{role}"')
        connection.exec_driver_sql(f'DROP ROLE "{role}"')


def test_a_whole_reading_session_runs_under_the_readers_role(desk: Desk, tmp_path: Path) -> None:
    room, asked = desk.room, {"reader": 0, "program": []}
    notary = Notary(tmp_path / "data")
    ann: Repository = repository_of(
        room.operator.engine, room.ann.actor, passwords=CHEAP, notary=notary, reader_engine=desk.engine
    )

    def count(*_: object) -> None:
        asked["reader"] += 1

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        asked["program"].append(statement)

    sa.event.listen(desk.engine, "before_cursor_execute", count)
    sa.event.listen(room.operator.engine, "before_cursor_execute", note)
    assert [study.key for study in ann.my_studies()] == [STUDY]
    assert len(ann.upcoming_presentations(STUDY)) == 3
    with ann.one_moment() as at_once:
        assert [study.key for study in at_once.my_studies()] == [STUDY]
        assert at_once.my_progress(STUDY).n_done == 0
    while (place := ann.next_presentation(STUDY)) is not None:
        assert ann.presentation_image(place.presentation_id).views
        assert ann.picture_boxes(place.presentation_id)
        ann.record_shown(place.presentation_id)
        ann.record_events(place.presentation_id, [("shown", 0.0)], draft_id="d", first_event=0)
        assert ann.study(STUDY).key == STUDY  # which coordinators may ask for as well
        ann.save_reading(place.presentation_id, Answer("sat", 3), submit_id=place.presentation_id)
    ann.keep_reading_keys({"class 1": "KeyZ"})
    last = ann.last_reading(STUDY)
    ann.save_reading(
        last.presentation.presentation_id, Answer("tumor", 1), submit_id="again", expected_revision=last.revision
    )
    assert ann.my_progress(STUDY).n_done == 10
    sa.event.remove(room.operator.engine, "before_cursor_execute", note)
    assert asked["program"] == []
    assert asked["reader"] > 100
    room.coordinator.set_state(STUDY, StudyState.CLOSED)
    with pytest.raises(AccessError):
        ann.next_presentation(STUDY)
    assert room.operator.verify_audit().problems == ()


def test_the_role_reads_what_it_needs_and_nothing_else(desk: Desk) -> None:
    for table in Base.metadata.sorted_tables:
        readable = {column for name, column, right in rights() if name == table.name and right == "SELECT"}
        assert not (table.name in SECRET and readable)
        for column in table.c:
            with desk.engine.connect() as connection:
                if column.name in readable:
                    connection.execute(sa.select(column).limit(1))
                    continue
                with pytest.raises(DBAPIError, match="permission denied"):
                    connection.execute(sa.select(column).limit(1))


#: What somebody inside a reader's request may try; of several statements the last one must fail at the latest.
ATTACKS = (
    "SELECT class_key FROM reference_standard",
    "SELECT probabilities FROM prediction",
    "SELECT password_hash FROM person",
    "SELECT detail FROM audit_event",
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION postgres",
    "RESET SESSION AUTHORIZATION; SELECT class_key FROM reference_standard",
    "RESET ROLE; SELECT class_key FROM reference_standard",
    "SET session_replication_role = replica",
    "ALTER TABLE reading DISABLE TRIGGER USER",
    "UPDATE reading SET class_key = 'sat'",
    "DELETE FROM reading",
    "TRUNCATE reading",
    "UPDATE study SET state = 'unsealed'",
    "UPDATE presentation SET position = 1",
    "INSERT INTO study_role SELECT * FROM study_role",
    "UPDATE sign_in_session SET expires_at = now()",
    "CREATE VIEW truth AS SELECT * FROM reference_standard",
    "COPY reference_standard TO STDOUT",
    "GRANT SELECT ON reference_standard TO CURRENT_USER",
    "CREATE TEMPORARY TABLE reading (LIKE reading)",  # answers would go into it, and be gone with the connection
    "CREATE TEMPORARY VIEW sign_in_session AS SELECT 1",
    "CREATE TABLE mine (kept text)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION max(text) RETURNS text LANGUAGE sql AS 'SELECT null'",  # called by the program's own role
    "CREATE TRIGGER mine BEFORE INSERT ON reading EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE RULE mine AS ON INSERT TO reading DO INSTEAD NOTHING",
    "ALTER TABLE reading OWNER TO CURRENT_USER",
    "CREATE EXTENSION pgcrypto",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT pg_read_file('postgresql.conf')",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user",
    "SELECT lo_import('/etc/passwd')",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER DATABASE {database} SET synchronous_commit = off",
    "SELECT setval(pg_get_serial_sequence('reading', 'sequence'), 1)",
    "LOCK TABLE reading IN ACCESS EXCLUSIVE MODE",
)


def test_what_an_attacker_inside_a_readers_request_tries_is_refused_by_the_database(desk: Desk) -> None:
    for attack in ATTACKS:
        *before, last = attack.replace("{database}", desk.reader_url.database or "").split("; ")
        with desk.engine.connect() as connection:
            for statement in before:
                connection.exec_driver_sql(statement)
            with pytest.raises(DBAPIError, match=r"permission denied|must be"):
                connection.exec_driver_sql(last)


def test_a_role_that_may_more_or_less_is_refused_and_put_right(desk: Desk) -> None:
    owner = desk.room.operator.engine

    def change(statement: str) -> None:
        with owner.begin() as connection:
            connection.exec_driver_sql(
                statement.format(role=desk.reader_url.username, database=desk.reader_url.database)
            )

    for statement, said in (
        ("GRANT SELECT ON prediction TO {role}", "may SELECT prediction."),
        ("GRANT UPDATE ON reading TO {role}", "may UPDATE reading."),
        ("GRANT DELETE ON audit_event TO {role}", "may DELETE audit_event"),
        ("REVOKE INSERT ON reading FROM {role}", "may not INSERT reading."),
        ("REVOKE SELECT (login) ON person FROM {role}", "may not SELECT person.login"),
    ):
        change(statement)
        with pytest.raises(StoreError, match=said):
            open_reader_engine(owner, desk.reader_url)
        make_reader_role(desk.url, desk.reader_url)  # as migrate does
        open_reader_engine(owner, desk.reader_url).dispose()
    for given, said, back in (  # by an administrator, who takes it back
        ("GRANT SELECT ON prediction TO PUBLIC", "may SELECT", "REVOKE ALL ON prediction FROM PUBLIC"),
        (
            "GRANT TEMPORARY ON DATABASE {database} TO PUBLIC",
            "hide those of the store",
            "REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC",
        ),
        (
            "GRANT CREATE ON SCHEMA public TO PUBLIC",
            "hide those of the store",
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        ),
        ("GRANT postgres TO {role}", "may become a mightier one", "REVOKE postgres FROM {role}"),
        ("ALTER ROLE {role} SUPERUSER", "may become a mightier one", "ALTER ROLE {role} NOSUPERUSER"),
    ):
        change(given)
        with pytest.raises(StoreError, match=said):
            open_reader_engine(owner, desk.reader_url)
        change(back)
    open_reader_engine(owner, desk.reader_url).dispose()


def test_the_statements_are_printed_without_the_password(desk: Desk) -> None:
    other = desk.reader_url.set(username="somebody", password="secret word")
    printed = "\n".join(printed_statements(desk.url, other))
    assert 'CREATE ROLE "somebody"' in printed
    assert "secret word" not in printed
    assert "reference_standard" not in printed


@pytest.mark.parametrize("wrong", ["sqlite:////tmp/x.sqlite3", "postgresql://localhost/x", "own role"])
def test_a_url_that_is_no_reader_of_this_store_is_refused(desk: Desk, wrong: str) -> None:
    given = desk.url if wrong == "own role" else wrong
    with pytest.raises(SettingsError, match="READER_DATABASE_URL"):
        make_reader_role(desk.url, given)
    with pytest.raises(SettingsError, match="no roles"):
        make_reader_role("sqlite:////tmp/x.sqlite3", desk.reader_url)


def _settings(url: URL, folder: Path) -> Settings:
    return Settings(database_url=url.render_as_string(hide_password=False), data_dir=folder)


def test_a_new_store_has_a_readers_role_by_itself_and_a_migration_keeps_its_rights(postgresql, tmp_path: Path) -> None:
    """Nobody has to know of it: the program makes the role where its own may make one."""
    settings = _settings(postgresql.empty_store(), tmp_path / "data")
    engine = create_store(store_url(settings))
    try:
        assert reader_url_of(settings) is None
        assert ensure_reader_role(settings) == ""
        reader = make_url(str(reader_url_of(settings)))
        assert reader.username == f"{engine.url.database}_readers"
        kept = tmp_path / "data" / "readers.password"
        assert kept.stat().st_mode & 0o077 == 0
        with engine.begin() as connection:
            connection.exec_driver_sql(f'GRANT SELECT ON reference_standard TO "{reader.username}"')
        with pytest.raises(StoreError, match="may SELECT reference_standard"):
            open_reader_engine(engine, reader_url_of(settings))
        assert ensure_reader_role(settings) == ""  # as `migrate` does
        opened = open_reader_engine(engine, reader_url_of(settings))
        with opened.connect() as connection, pytest.raises(DBAPIError, match="permission denied"):
            connection.exec_driver_sql("SELECT class_key FROM reference_standard")
        opened.dispose()
        # Another installation with this store takes nobody's password away, unless it is told to.
        other = _settings(engine.url, tmp_path / "other")
        before = _password_of(engine, reader)
        ensure_reader_role(other)
        assert _password_of(engine, reader) == before
        assert ensure_reader_role(other, may_take_over=True) == ""
        assert _password_of(engine, reader) != before
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql(f'DROP OWNED BY "{engine.url.database}_readers"')
            connection.exec_driver_sql(f'DROP ROLE "{engine.url.database}_readers"')
        engine.dispose()


def _password_of(engine: Engine, role: URL) -> str:
    """What the server keeps of a role's password."""
    query = sa.text("SELECT rolpassword FROM pg_authid WHERE rolname = :role")
    with engine.connect() as connection:
        return str(connection.execute(query, {"role": role.username}).scalar_one())


def test_a_program_that_may_make_no_role_goes_on_and_is_told(postgresql, tmp_path: Path) -> None:
    url, owner = postgresql.empty_store(), f"owner_{secrets.token_hex(4)}"
    server = sa.create_engine(url)
    with server.begin() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {owner} LOGIN PASSWORD 'x' NOCREATEROLE")
        connection.exec_driver_sql(f"GRANT ALL ON SCHEMA public TO {owner}")
    settings = _settings(url.set(username=owner, password="x"), tmp_path / "data")
    try:
        create_store(store_url(settings)).dispose()
        assert "CREATEROLE" in ensure_reader_role(settings)
        assert reader_url_of(settings) is None
        assert not (tmp_path / "data" / "readers.password").exists()
    finally:
        with server.begin() as connection:
            connection.exec_driver_sql(f"DROP OWNED BY {owner}")
            connection.exec_driver_sql(f"DROP ROLE {owner}")
        server.dispose()


def test_the_methods_that_leave_the_readers_role_are_these() -> None:
    """As docs/trust.md says: a fifth one needs a reason there."""
    found = {name for name in dir(Repository) if getattr(getattr(Repository, name), "is_as_program", False)}
    assert found == {"model_answer", "training_feedback", "change_my_password", "my_password_set"}
