"""On which file system a SQLite store lies: in WAL mode its processes share memory, which no network carries."""

from __future__ import annotations

import re
from pathlib import Path

from core.errors import SettingsError

#: Linux: what the kernel mounts here and there.
MOUNTS = Path("/proc/self/mountinfo")

#: File systems of several machines, by the name in :data:`MOUNTS`. A lock there may hold nobody, and the ``-shm`` file
#: of WAL is not shared: a store is damaged without a word.
_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|ncpfs|9p|afs|ceph|lustre|gpfs|beegfs(_\w+)?|glusterfs|ocfs2|gfs2|orangefs|pvfs2|"
    r"coda|davfs|vboxsf|vmhgfs|prl_fs|drvfs|"
    r"fuse\.(sshfs|s3fs|goofys|rclone|gcsfuse|blobfuse2?|glusterfs|ceph(-fuse)?|davfs2?|curlftpfs|vmhgfs-fuse|"
    r"grpcfuse|juicefs|seaweedfs|mfs|moosefs|lizardfs|smbnetfs|nfs\w*|cvmfs2?)"
)


def refuse_network_file_system(path: Path, mounts: Path = MOUNTS) -> None:
    """Refuse a place for a SQLite store that several machines may share.

    Raises
    ------
    SettingsError
        Naming the file system.
    """
    found = file_system_of(path, mounts)
    if found is not None and _NETWORK.fullmatch(found):
        raise SettingsError(
            f"the store {path} lies on a network file system ({found}), where SQLite loses or damages what it stores",
            field="READING_ROOM_DATA_DIR or READING_ROOM_DATABASE_URL",
            fix="put it on a disk of this machine, or use PostgreSQL, which takes several machines",
        )


def file_system_of(path: Path, mounts: Path = MOUNTS) -> str | None:
    """Name of the file system of a path, existing or not; None where the system does not tell (not Linux)."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    place = Path(path).resolve()
    found: tuple[int, str] | None = None
    for line in lines:
        before, _, after = line.partition(" - ")
        point = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), before.split(" ")[4]))
        if place.is_relative_to(point) and (found is None or len(point.parts) >= found[0]):  # the last one covers
            found = len(point.parts), after.split(" ")[0]
    return None if found is None else found[1]
