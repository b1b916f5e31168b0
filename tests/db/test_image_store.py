"""Images outside of the database come back as they were or not at all, and moving them breaks no seal."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from core.errors import InputError, SettingsError, StoreDamagedError, StoreError
from core.imaging import encode_png
from db import OPERATOR, Repository
from db.engine import writing
from db.image_store import Images, ImageStore, images_at, is_outside, sha256_of_stored
from tests.db.conftest import STUDY, Room, read_next
from tests.stores import repository_of

PNG = encode_png(np.arange(64, dtype=np.uint16).reshape(8, 8))
NAME = hashlib.sha256(PNG).hexdigest()


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """A bucket on a server that speaks S3: ``pip install s3fs 'moto[server]'`` is enough to run these."""
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        fsspec.filesystem("s3").mkdir("reading-room")
        yield "s3://reading-room"
    server.stop()


@pytest.fixture(params=["folder", "memory", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder, a store that is no folder, and a bucket."""
    if request.param == "s3":
        return f"{request.getfixturevalue('bucket')}/{tmp_path.name}"
    return str(tmp_path / "images") if request.param == "folder" else f"memory://{tmp_path.name}"


def object_of(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    files, root = fsspec.core.url_to_fs(url)
    return files, f"{root.rstrip('/')}/{NAME[:2]}/{NAME}.png"


def test_an_image_lies_under_its_digest_and_comes_back(url: str) -> None:
    store = ImageStore(url)
    pointer = store.put(PNG)
    assert pointer == store.put(PNG) == b"sha256:" + NAME.encode()
    assert is_outside(pointer)
    assert not is_outside(PNG)
    assert sha256_of_stored(pointer) == sha256_of_stored(PNG) == NAME, "a seal is the same before and after"
    assert ImageStore(url).get(pointer) == PNG


@pytest.mark.parametrize("content", [PNG[:-1], PNG + b"\0", b"", encode_png(np.zeros((8, 8), dtype=np.uint16))])
def test_an_image_that_was_changed_outside_is_never_shown(url: str, content: bytes) -> None:
    store = ImageStore(url)
    pointer = store.put(PNG)
    files, path = object_of(url)
    files.pipe_file(path, content)
    with pytest.raises(StoreDamagedError, match="changed"):
        store.get(pointer)
    files.rm(path)
    with pytest.raises(StoreDamagedError, match="missing"):
        store.get(pointer)


def test_without_the_setting_what_lies_outside_is_said_to_lie_there(url: str) -> None:
    pointer = ImageStore(url).put(PNG)
    assert Images().png(PNG) == PNG
    assert Images().keep(PNG) == PNG
    with pytest.raises(StoreError, match="READING_ROOM_IMAGE_URL"):
        Images().png(pointer)
    assert Images(ImageStore(url)).png(pointer) == PNG
    assert Images(ImageStore(url)).keep(PNG) == pointer


@pytest.mark.parametrize("url", ["images", "./images", "nosuch://bucket", ""])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="READING_ROOM_IMAGE_URL"):
        ImageStore(url)


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError, match="cannot be written"):
        ImageStore(str(tmp_path / "file")).put(PNG)


def outside(room: Room, url: str) -> tuple[Repository, Repository]:
    """Operator and reader who know where the images lie."""
    images = images_at(url)
    operator = Repository(room.operator.engine, OPERATOR, images=images)
    return operator, repository_of(room.operator.engine, room.ann.actor, images=images)


def test_moving_images_out_and_back_changes_no_picture_and_breaks_no_seal(room: Room, url: str) -> None:
    operator, reader = outside(room, url)
    here = reader.next_presentation(STUDY)
    assert here is not None
    before = reader.presentation_image(here.presentation_id).views[0].pixels
    inside, none = operator.count_images()
    assert (inside > 0, none) == (True, 0)
    assert operator.move_images() == inside
    assert operator.move_images() == 0
    assert operator.count_images() == (0, inside)
    assert np.array_equal(reader.presentation_image(here.presentation_id).views[0].pixels, before)
    cases = {image.case: image.pixels for image in operator.cases_for_prediction(STUDY)}
    for case in room.cases:
        assert np.array_equal(cases[case.case], case.pixels)
    assert operator.check_images() == []
    assert operator.verify_audit().problems == ()
    with pytest.raises(StoreError, match="READING_ROOM_IMAGE_URL"):
        room.ann.presentation_image(here.presentation_id)
    assert operator.move_images(is_back=True) == inside
    assert np.array_equal(room.ann.presentation_image(here.presentation_id).views[0].pixels, before)
    assert room.operator.verify_audit().problems == ()


def test_an_image_changed_outside_is_found_and_not_read(room: Room, url: str) -> None:
    operator, reader = outside(room, url)
    operator.move_images()
    files, root = fsspec.core.url_to_fs(url)
    paths = sorted(files.find(root))
    files.pipe_file(paths[0], files.cat_file(paths[1]))
    files.rm(paths[2])
    problems = operator.check_images()
    assert sorted("changed" in problem for problem in problems) == [False, True]
    shown = refused = 0
    for _ in range(len(room.cases)):
        here = reader.next_presentation(STUDY)
        if here is None:
            break
        try:
            reader.presentation_image(here.presentation_id)
            shown += 1
        except StoreDamagedError:
            refused += 1
        read_next(room.ann)
    assert refused >= 1
    assert shown >= 1


def test_a_pointer_to_another_image_is_noticed_by_the_seal(room: Room, tmp_path: Path) -> None:
    operator, _ = outside(room, str(tmp_path / "images"))
    operator.move_images()
    with writing(room.operator.engine).begin() as connection:
        connection.exec_driver_sql("UPDATE image SET png = (SELECT png FROM image ORDER BY image_id LIMIT 1)")
    assert any("images" in problem for problem in operator.verify_audit().problems)


def test_a_move_that_was_stopped_goes_on_when_it_is_called_again(room: Room, tmp_path: Path) -> None:
    operator, _ = outside(room, str(tmp_path / "images"))
    inside, _ = operator.count_images()

    def stop(done: int, total: int, what: str) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("db.repository.image_files._AT_ONCE", 2)
        with pytest.raises(KeyboardInterrupt):
            operator.move_images(progress=stop)
    assert operator.count_images() == (inside - 2, 2)
    assert operator.move_images() == inside - 2
    assert operator.verify_audit().problems == ()


def test_nobody_moves_images_to_nowhere(room: Room) -> None:
    with pytest.raises(InputError, match="READING_ROOM_IMAGE_URL"):
        room.operator.move_images()
