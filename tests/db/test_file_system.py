"""A SQLite store on a network file system is refused before anything is written there."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import SettingsError
from db import Notary, create_store, open_store
from db.backup import back_up, restore
from db.file_system import file_system_of, refuse_network_file_system

_SFTP = Path("/usr/lib/openssh/sftp-server")

LINES = """\
22 1 254:1 / / rw,relatime - ext4 /dev/vda rw
23 22 0:21 / /proc rw - proc proc rw
40 22 0:38 / /srv rw - ext4 /dev/vdb rw
41 40 0:39 / /srv/readings rw,relatime shared:3 - {kind} somewhere rw
42 22 0:40 / /mnt/with\\040blank rw - cifs //server/share rw
43 22 0:41 / /twice rw - nfs4 server:/a rw
44 22 0:42 / /twice rw - xfs /dev/vdc rw
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Iterator[object]:
    def write(kind: str = "nfs4") -> Path:
        (tmp_path / "mountinfo").write_text(LINES.format(kind=kind))
        return tmp_path / "mountinfo"

    return write


@pytest.mark.parametrize(
    "kind",
    [
        *("nfs", "nfs3", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "gpfs", "vboxsf", "ocfs2", "gfs2"),
        *("fuse.sshfs", "fuse.rclone", "fuse.glusterfs", "fuse.s3fs", "fuse.grpcfuse"),
    ],
)
def test_what_several_machines_share_is_refused_by_name(mounts, kind: str) -> None:
    with pytest.raises(SettingsError, match=rf"network file system \({kind}\).*use PostgreSQL"):
        refuse_network_file_system(Path("/srv/readings/data/store.sqlite3"), mounts(kind))


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs", "apfs", "virtiofs", "fuseblk"])
def test_a_disk_of_this_machine_is_taken(mounts, kind: str) -> None:
    refuse_network_file_system(Path("/srv/readings/store.sqlite3"), mounts(kind))


def test_the_mount_that_holds_the_path_counts_and_of_two_the_later(mounts) -> None:
    assert file_system_of(Path("/srv/readingsroom"), mounts()) == "ext4"
    assert file_system_of(Path("/srv/readings"), mounts()) == "nfs4"
    assert file_system_of(Path("/mnt/with blank/store"), mounts()) == "cifs"
    assert file_system_of(Path("/twice/store"), mounts()) == "xfs"
    assert file_system_of(Path("/anything"), Path("/nowhere/mountinfo")) is None


def test_a_link_to_a_network_folder_is_seen_through(mounts, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to("/srv/readings")
    with pytest.raises(SettingsError):
        refuse_network_file_system(tmp_path / "data" / "store.sqlite3", mounts())


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no tmpfs here")  # noqa: S108
def test_this_machine_tells_its_own_file_systems() -> None:
    assert file_system_of(Path("/dev/shm/new.sqlite3")) == "tmpfs"  # noqa: S108
    assert file_system_of(Path("/proc/self")) == "proc"


@pytest.fixture
def network_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that lies behind a real sshfs."""
    programs = ("sshfs", "socat", "fusermount")
    if not all(map(shutil.which, programs)) or not _SFTP.exists() or not os.access("/dev/fuse", os.W_OK):
        pytest.skip("needs sshfs, socat, sftp-server and /dev/fuse")
    far, near = tmp_path / "far", tmp_path / "near"
    far.mkdir()
    near.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(["socat", f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr", f"EXEC:{_SFTP}"])
    try:
        time.sleep(0.5)
        command = ["sshfs", "-o", f"directport={port}", f"127.0.0.1:{far}", str(near)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        if done.returncode != 0:
            pytest.skip(f"sshfs cannot mount here: {done.stderr[-200:]}")
        yield near
    finally:
        subprocess.run(["fusermount", "-u", str(near)], check=False, timeout=20)
        server.kill()
        server.wait()


def test_a_real_network_folder_takes_no_store_and_opens_none(network_folder: Path) -> None:
    url = f"sqlite:///{network_folder / 'store.sqlite3'}"
    with pytest.raises(SettingsError, match=r"fuse\.sshfs"):
        create_store(url)
    assert list(network_folder.iterdir()) == []
    create_store(f"sqlite:///{network_folder.parent / 'local.sqlite3'}").dispose()
    shutil.copyfile(network_folder.parent / "local.sqlite3", network_folder / "store.sqlite3")
    for use in (open_store, create_store):
        with pytest.raises(SettingsError, match=r"fuse\.sshfs"):
            use(url)
    assert [path.name for path in network_folder.iterdir()] == ["store.sqlite3"]
    (network_folder / "store.sqlite3").unlink()

    # A backup may lie there, and comes back from there: it is one finished file.
    local = f"sqlite:///{network_folder.parent / 'local.sqlite3'}"
    notary = Notary(network_folder.parent / "data")
    back_up(local, network_folder / "one.sqlite3", notary=notary)
    assert [path.name for path in network_folder.iterdir()] == ["one.sqlite3"]
    restore(network_folder / "one.sqlite3", local, notary=notary, is_replacing=True)
    assert [path.name for path in network_folder.iterdir()] == ["one.sqlite3"]
