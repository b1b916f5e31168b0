"""Where the PNGs of the images lie: in the database, or outside of it (:mod:`db.image_store`)."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from core.errors import InputError, StoreDamagedError
from core.progress import OnProgress
from core.study import Role
from db.image_store import POINTER
from db.repository.access import RepositoryBase, allowed
from db.tables import ImageRow

#: Images moved in one transaction: readers wait for no more than these.
_AT_ONCE = 20


class ImageFileRepository(RepositoryBase):
    """Moving images and looking at those outside; for who runs the installation."""

    @allowed(Role.ADMINISTRATOR)
    def count_images(self) -> tuple[int, int]:
        """Images in the database, and outside of it."""
        with self._reading() as db_session:
            total = db_session.scalar(sa.select(sa.func.count()).select_from(ImageRow)) or 0
            outside = db_session.scalar(sa.select(sa.func.count()).where(_lies_outside())) or 0
        return total - outside, outside

    @allowed(Role.ADMINISTRATOR)
    def move_images(self, *, is_back: bool = False, progress: OnProgress | None = None) -> int:
        """Move every image out of the database, or back into it; stopped and called again it goes on.

        A few images a transaction; each is read back from where it went before its row changes. Seals stay as they
        are: they hold the digest of the PNG, which a pointer names.

        Returns
        -------
        int
            Images moved now.

        Raises
        ------
        InputError
            If nobody said where to.
        StoreError
            If the other place cannot be written or read; what was moved stays moved.
        """
        if not self._images.has_outside:
            raise InputError(
                "nobody said where the images go",
                field="READING_ROOM_IMAGE_URL",
                fix="set a folder or s3://bucket/path",
            )
        inside, outside = self.count_images()
        total, moved, after = outside if is_back else inside, 0, ""
        while True:
            with self._reading() as db_session:
                rows = db_session.execute(
                    sa.select(ImageRow.image_id, ImageRow.png)
                    .where(_lies_outside() if is_back else ~_lies_outside(), ImageRow.image_id > after)
                    .order_by(ImageRow.image_id)
                    .limit(_AT_ONCE)
                ).all()
            if not rows:
                return moved
            changed = [
                (image_id, png, self._images.png(png) if is_back else self._images.keep(png)) for image_id, png in rows
            ]
            with self._writing() as db_session:
                for image_id, before, now in changed:
                    db_session.execute(
                        sa.update(ImageRow).where(ImageRow.image_id == image_id, ImageRow.png == before).values(png=now)
                    )
                self._audit(
                    db_session, "images.move", None, n_images=len(changed), to="database" if is_back else "outside"
                )
            after, moved = rows[-1].image_id, moved + len(rows)
            if progress is not None:
                progress(moved, max(total, moved), "images")

    @allowed(Role.ADMINISTRATOR)
    def check_images(self, most: int | None = None) -> list[str]:
        """What is wrong with the images outside: each, or some at random, is read and held against its digest."""
        problems, after = [], ""
        if most is not None:
            some = sa.select(ImageRow.png).where(_lies_outside()).order_by(sa.func.random()).limit(most)
            with self._reading() as db_session:
                return self._wrong(db_session.scalars(some).all())
        while True:
            with self._reading() as db_session:
                rows = db_session.execute(
                    sa.select(ImageRow.image_id, ImageRow.png)
                    .where(_lies_outside(), ImageRow.image_id > after)
                    .order_by(ImageRow.image_id)
                    .limit(1000)
                ).all()
            problems += self._wrong([pointer for _, pointer in rows])
            if len(rows) < 1000:
                return problems
            after = rows[-1].image_id

    def _wrong(self, pointers: Sequence[bytes]) -> list[str]:
        """What is wrong with the images behind some pointers."""
        problems = []
        for pointer in pointers:
            try:
                self._images.png(pointer)
            except StoreDamagedError as damaged:
                problems.append(str(damaged))
        return problems


def _lies_outside() -> sa.ColumnElement[bool]:
    """Whether a row holds a pointer."""
    return sa.func.substr(ImageRow.png, 1, len(POINTER)) == sa.literal(POINTER, sa.LargeBinary())
