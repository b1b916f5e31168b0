"""Models and their predictions. They may be made at any time; nobody sees them before the study is unsealed."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import AccessError, ConflictError, InputError, NotFoundError
from core.natural_order import cohort_place, natural_key
from core.runtime import in_order
from core.study import Role
from core.typed_text import check_line
from db.audit import chain_end
from db.records import CaseImage, CasePrediction, ModelVersion, PredictionCount
from db.repository.access import BegunDeed, RepositoryBase, allowed
from db.repository.cases import case_image_of, view_number
from db.seals import seal_of_batch, seal_of_model
from db.tables import CaseImageRow, CaseRow, CohortRow, ImageRow, ModelVersionRow, PredictionRow, StudyRow

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHORTEST_PREFIX = 8
_ROWS = 100

#: What predicting needs of the store.
_OF_PREDICTING = frozenset({"study", "keys_for_prediction", "cases_for_prediction", "save_predictions"})


class ModelRepository(RepositoryBase):
    """Model versions, cases to predict, predictions."""

    @allowed(Role.COORDINATOR)
    def register_model(
        self, *, sha256: str, name: str, architecture: str, path: str, metadata: dict[str, object]
    ) -> ModelVersion:
        """Enter a model; one that is known by its SHA-256 already is given back as it was stored.

        Raises
        ------
        InputError
            If the hash is none, or the name is empty.
        """
        if _SHA256.fullmatch(sha256) is None:
            raise InputError("not a SHA-256 in small hexadecimal digits", field="sha256", value=sha256)
        if not name.strip():
            raise InputError("a model needs a name", field="name", value=name)
        check_line(name, "name")
        with self._writing() as db_session:
            row = db_session.get(ModelVersionRow, sha256)
            if row is None:
                row = ModelVersionRow(
                    sha256=sha256,
                    name=name.strip(),
                    architecture=architecture,
                    path=path,
                    model_metadata=dict(metadata),
                    registered_at=self._clock(),
                )
                db_session.add(row)
                db_session.flush()
                said = {"sha256": sha256, "name": row.name, "architecture": architecture}
                self._audit(db_session, "model.register", **said, seal=seal_of_model(db_session, sha256))
            return _model_of(row)

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def models(self) -> list[ModelVersion]:
        """All models, oldest first."""
        with self._reading() as db_session:
            rows = db_session.scalars(
                sa.select(ModelVersionRow).order_by(ModelVersionRow.registered_at, ModelVersionRow.sha256)
            )
            return [_model_of(row) for row in rows]

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def model(self, name_or_sha256: str) -> ModelVersion:
        """The newest model of a name, or the one whose SHA-256 begins with 8 or more digits.

        Raises
        ------
        NotFoundError
            If there is none, or the digits fit several.
        """
        with self._reading() as db_session:
            named = db_session.scalars(
                sa.select(ModelVersionRow)
                .where(ModelVersionRow.name == name_or_sha256)
                .order_by(ModelVersionRow.registered_at.desc())
                .limit(1)
            ).first()
            if named is not None:
                return _model_of(named)
            if len(name_or_sha256) >= _SHORTEST_PREFIX:
                found = db_session.scalars(
                    sa.select(ModelVersionRow).where(ModelVersionRow.sha256.startswith(name_or_sha256, autoescape=True))
                ).all()
                if len(found) == 1:
                    return _model_of(found[0])
        raise NotFoundError(
            f"There is no model '{name_or_sha256}' (a name, or at least 8 digits of a SHA-256). "
            "Fix: 'python manage.py model list' shows those there are."
        )

    @allowed(Role.COORDINATOR)
    def begin_prediction(self, study_key: str, model_sha256: str) -> Self:
        """Begin the one deed of predicting a study's cases, which may outlast the sign-in that it was begun with.

        Returns
        -------
        Repository
            Of the same person, for what predicting with this model needs in this study and for nothing else. It goes on
            after a sign-out, as long as the person has an account that is let in and coordinates the study. The trail
            names the begin, and in each stored batch this begin.

        Raises
        ------
        NotFoundError
            No such study or model.
        """
        with self._writing() as db_session:
            study = self._study_row(db_session, study_key)
            if db_session.get(ModelVersionRow, model_sha256) is None:
                raise NotFoundError(f"There is no model '{model_sha256}'. Fix: register it first.")
            sequence = chain_end(db_session).n_events + 1
            self._audit(db_session, "model.predict-begun", study.study_key, model_sha256=model_sha256)
        acting = copy.copy(self)
        acting._asked = frozenset()
        acting._begun_deed = BegunDeed(study_key, model_sha256, sequence, _OF_PREDICTING)
        return acting

    @allowed(Role.COORDINATOR)
    def keys_for_prediction(
        self, study_key: str, cohort: str | None = None, *, without_model: str | None = None
    ) -> list[str]:
        """Which cases :meth:`cases_for_prediction` would give, by case id, in its order."""
        with self._reading() as db_session:
            query = _to_predict(self._study_row(db_session, study_key), cohort, without_model)
            return list(db_session.scalars(query.order_by(CaseRow.case_key)))

    @allowed(Role.COORDINATOR)
    def cases_for_prediction(
        self,
        study_key: str,
        cohort: str | None = None,
        *,
        without_model: str | None = None,
        only: Sequence[str] | None = None,
        batch_size: int = 32,
    ) -> Iterator[CaseImage]:
        """Cases with the pixels of the view that the protocol gives the model, by case id; a few at a time.

        Images are decoded on all cores. No transaction stays open while the model computes.

        Parameters
        ----------
        study_key : str
            The study.
        cohort : str, optional
            One cohort; all of them unless said otherwise.
        without_model : str, optional
            SHA-256 of a model: only cases that it has not predicted yet.
        only : sequence of str, optional
            Only cases of these ids, at most a thousand.
        batch_size : int
            Cases fetched by one query.

        Yields
        ------
        CaseImage
            Excluded cases are left out.
        """
        after = ""
        while True:
            with self._reading() as db_session:
                study = self._study_row(db_session, study_key)
                number = view_number(db_session, study, self._protocol(db_session, study).model_view)
                query = _to_predict(study, cohort, without_model)
                if only is not None:
                    query = query.where(CaseRow.case_key.in_(only))
                of_view = (CaseImageRow.pixel_spacing_mm, CaseImageRow.view_name, CaseImageRow.left_side)
                rows = db_session.execute(
                    query.add_columns(ImageRow.png, *of_view)
                    .join(CaseImageRow, CaseImageRow.case_id == CaseRow.case_id)
                    .join(ImageRow, ImageRow.image_id == CaseImageRow.image_id)
                    .where(CaseImageRow.view_number == number, CaseRow.case_key > after)
                    .order_by(CaseRow.case_key)
                    .limit(batch_size)
                ).all()
            for _, image in in_order(lambda found: case_image_of(found[0], found, self._images), rows):
                yield image
            if len(rows) < batch_size:
                return
            after = rows[-1][0]

    @allowed(Role.COORDINATOR)
    def save_predictions(
        self,
        study_key: str,
        model_sha256: str,
        predictions: Iterable[CasePrediction],
        *,
        is_shared: bool = False,
    ) -> int:
        """Store predictions of one model for good, all of them or none; none is ever replaced.

        Parameters
        ----------
        study_key, model_sha256 : str
            A study; a registered model.
        predictions : iterable of CasePrediction
            ``probabilities`` in the protocol's class order, summing to 1.
        is_shared : bool
            Another process may predict the same cases: what it stored meanwhile is left out here and is no conflict.

        Returns
        -------
        int
            Number of predictions stored.

        Raises
        ------
        InputError
            If probabilities or maps do not fit the study.
        NotFoundError
            No such model or case.
        ConflictError
            If a case is predicted by this model already.
        """
        begun = {}
        if self._begun_deed is not None:
            if model_sha256 != self._begun_deed.model_sha256:
                raise AccessError("This is no part of the deed that was begun.")
            begun = {"begun": self._begun_deed.sequence}
        with self._reading() as db_session:
            study = self._study_row(db_session, study_key)
            n_classes = len(self._protocol(db_session, study).classes)
            if db_session.get(ModelVersionRow, model_sha256) is None:
                raise NotFoundError(f"There is no model '{model_sha256}'. Fix: register it first.")
            case_ids = dict(
                db_session.execute(
                    sa.select(CaseRow.case_key, CaseRow.case_id).where(CaseRow.study_id == study.study_id)
                ).all()
            )
        now = self._clock()
        rows: list[dict[str, Any]] = []
        for prediction in predictions:
            if prediction.case not in case_ids:
                raise NotFoundError(f"Study '{study_key}' has no case '{prediction.case}'. Fix: check the case id.")
            rows.append(
                {
                    "model_sha256": model_sha256,
                    "case_id": case_ids[prediction.case],
                    "probabilities": _checked_probabilities(prediction, n_classes),
                    **_packed_maps(prediction, n_classes),
                    "entropy": float(prediction.entropy),
                    "is_out_of_distribution": bool(prediction.is_out_of_distribution),
                    "device": prediction.device,
                    "precision": prediction.precision,
                    "created_at": now,
                }
            )
        if not rows:
            return 0
        with self._writing() as db_session:
            self._study_row(db_session, study_key)  # still the actor's
            taken = _predicted(db_session, model_sha256, [row["case_id"] for row in rows])
            if taken and is_shared:
                rows = [row for row in rows if row["case_id"] not in taken]
                if not rows:
                    return 0
            elif taken:
                raise ConflictError(
                    f"{len(taken)} of {len(rows)} cases are predicted by this model already; nothing was stored."
                )
            this_event = chain_end(db_session).n_events + 1
            for start in range(0, len(rows), _ROWS):
                part = [{**row, "event_sequence": this_event} for row in rows[start : start + _ROWS]]
                db_session.execute(sa.insert(PredictionRow), part)
            sealed = seal_of_batch(db_session, this_event).keep(db_session)
            self._audit(db_session, "model.predict", study_key, model_sha256=model_sha256, seal=sealed, **begun)
        return len(rows)

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def prediction_counts(self, study_key: str) -> list[PredictionCount]:
        """How many included cases of each cohort each model has predicted; the only thing to know while sealed."""
        with self._reading() as db_session:
            study = self._study_row(db_session, study_key)
            included = (CaseRow.study_id == study.study_id, CaseRow.exclusion_reason.is_(None))
            totals = dict(
                db_session.execute(
                    sa.select(CohortRow.name, sa.func.count())
                    .join(CaseRow, CaseRow.cohort_id == CohortRow.cohort_id)
                    .where(*included)
                    .group_by(CohortRow.name)
                ).all()
            )
            found = db_session.execute(
                sa.select(ModelVersionRow.sha256, ModelVersionRow.name, CohortRow.name, sa.func.count())
                .add_columns(sa.func.max(PredictionRow.created_at))
                .join(PredictionRow, PredictionRow.model_sha256 == ModelVersionRow.sha256)
                .join(CaseRow, CaseRow.case_id == PredictionRow.case_id)
                .join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id)
                .where(*included)
                .group_by(ModelVersionRow.sha256, ModelVersionRow.name, CohortRow.name)
            )
            counts = [PredictionCount(sha, name, cohort, n, totals[cohort], at) for sha, name, cohort, n, at in found]
        return sorted(counts, key=lambda one: (natural_key(one.model_name), one.model_sha256, cohort_place(one.cohort)))


def prediction_of(row: PredictionRow, case: str, *, with_class_maps: bool) -> CasePrediction:
    """The prediction that was stored."""
    maps = None
    if with_class_maps and row.class_maps is not None and row.class_maps_shape is not None:
        shape = tuple(int(size) for size in row.class_maps_shape.split(","))
        maps = np.frombuffer(row.class_maps, dtype="<f2").reshape(shape).astype(np.float16)
    return CasePrediction(
        case=case,
        probabilities=np.asarray(row.probabilities, dtype=np.float64),
        entropy=row.entropy,
        is_out_of_distribution=row.is_out_of_distribution,
        device=row.device,
        precision=row.precision,
        class_maps=maps,
        created_at=row.created_at,
    )


def _model_of(row: ModelVersionRow) -> ModelVersion:
    """The model that was stored."""
    return ModelVersion(
        sha256=row.sha256,
        name=row.name,
        architecture=row.architecture,
        path=row.path,
        metadata=dict(row.model_metadata),
        registered_at=row.registered_at,
    )


def _to_predict(study: StudyRow, cohort: str | None, without_model: str | None) -> sa.Select[str]:
    """Included cases, in one cohort or all, without those that a model has predicted."""
    query = sa.select(CaseRow.case_key).where(CaseRow.study_id == study.study_id, CaseRow.exclusion_reason.is_(None))
    if cohort is not None:
        query = query.join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id).where(CohortRow.name == cohort)
    if without_model is not None:
        is_predicted = sa.exists().where(
            PredictionRow.case_id == CaseRow.case_id, PredictionRow.model_sha256 == without_model
        )
        query = query.where(~is_predicted)
    return query


def _predicted(db_session: Session, model_sha256: str, case_ids: list[str]) -> set[str]:
    """Which of the cases the model has predicted."""
    taken: set[str] = set()
    for start in range(0, len(case_ids), 1000):
        taken.update(
            db_session.scalars(
                sa.select(PredictionRow.case_id).where(
                    PredictionRow.model_sha256 == model_sha256,
                    PredictionRow.case_id.in_(case_ids[start : start + 1000]),
                )
            )
        )
    return taken


def _checked_probabilities(prediction: CasePrediction, n_classes: int) -> list[float]:
    """Probabilities as plain numbers."""
    values = np.asarray(prediction.probabilities, dtype=np.float64)
    if values.shape != (n_classes,) or not np.isfinite(values).all() or (values < 0).any():
        raise InputError(
            f"a prediction needs {n_classes} finite probabilities", field="probabilities", value=prediction.case
        )
    if abs(float(values.sum()) - 1.0) > 1e-3:
        raise InputError("the probabilities do not sum to 1", field="probabilities", value=prediction.case)
    if not np.isfinite(prediction.entropy) or prediction.entropy < 0:
        raise InputError("the entropy must be zero or more", field="entropy", value=prediction.case)
    return [float(value) for value in values]


def _packed_maps(prediction: CasePrediction, n_classes: int) -> dict[str, object]:
    """Class maps as bytes and a shape."""
    if prediction.class_maps is None:
        return {"class_maps": None, "class_maps_shape": None}
    maps = np.asarray(prediction.class_maps)
    if maps.ndim != 3 or maps.shape[0] != n_classes:
        raise InputError(
            f"class maps must have shape ({n_classes}, height, width)", field="class_maps", value=maps.shape
        )
    return {
        "class_maps": np.ascontiguousarray(maps, dtype="<f2").tobytes(),
        "class_maps_shape": ",".join(str(size) for size in maps.shape),
    }
