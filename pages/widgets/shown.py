"""What a view of the results draws: one cohort of one study, with the names, labels and colours of the whole study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from core.analysis import CohortAnalysis, StudyAnalysis
from core.rater_styles import RaterStyle
from core.study import Study
from core.study_analysis.planned import stamp_of

#: The keys of the averages over classes that have an AUC.
MACRO = "macro"
#: More classes than this stand in rows instead of columns.
MOST_COLUMNS = 6


@dataclass(frozen=True)
class Shown:
    """One cohort of one study."""

    study: Study
    analysis: StudyAnalysis
    cohort: str
    tables: Mapping[str, pd.DataFrame]  # of this cohort; those of participants with a column ``label``
    styles: Mapping[str, RaterStyle]  # label -> how this rater is drawn
    whole: Mapping[str, pd.DataFrame]  # the tables of all cohorts
    declarations: Mapping[str, str] = field(default_factory=dict)  # of each model: was it there before anybody read?
    has_pictures: bool = True  # of cases, in the store; never where the readings were made elsewhere

    @property
    def can_open_cases(self) -> bool:
        """Whether the Explain screen has the cases."""
        return self.has_pictures and not self.study.is_read_elsewhere

    @property
    def found(self) -> CohortAnalysis:
        """The analysis of the cohort."""
        return self.analysis.cohort(self.cohort)

    @cached_property
    def labels(self) -> dict[str, str]:
        """Class key -> name."""
        return {each.key: each.label for each in self.study.protocol.classes}

    @cached_property
    def short_labels(self) -> dict[str, str]:
        """Class key -> name in narrow places."""
        return {each.key: each.short_label for each in self.study.protocol.classes}

    @cached_property
    def names(self) -> dict[str, str]:
        """Keys of participants -> names."""
        return dict(self.tables["missing"][["participant", "name"]].drop_duplicates().itertuples(index=False))

    @cached_property
    def raters(self) -> list[str]:
        """Labels of those who answered in this cohort: models before readers, the declared one first."""
        answered = self.tables["missing"][self.tables["missing"]["n_answered"] > 0]
        present = set(answered["label"])
        return [label for label in self.styles if label in present]

    @cached_property
    def models(self) -> list[str]:
        """Labels of the models of this cohort, the declared one first."""
        kinds = dict(self.tables["missing"][["label", "kind"]].itertuples(index=False))
        return [label for label in self.raters if kinds[label] == "model"]

    @cached_property
    def has_arms(self) -> bool:
        """Whether readers read in several arms."""
        return self.whole["missing"].loc[self.whole["missing"]["arm"] != "", "arm"].nunique() > 1

    @property
    def is_clustered(self) -> bool:
        """Whether a patient has several cases."""
        return self.found.n_patients < self.found.n_cases

    def mean_label(self, mean: pd.DataFrame) -> str:
        """What the readers' mean of an arm is called: of how many, in which arm, on how many cases where not on all.

        Parameters
        ----------
        mean : one row of ``panel_means``
        """
        row = mean.iloc[0]
        most = self.of("missing", kind="reader", arm=row["arm"])["n_answered"].max()
        arm = f", {row['arm']}" if self.has_arms else ""
        cases = "" if pd.isna(row["n"]) or row["n"] == most else f", n = {row['n']}"
        return f"Mean of {row['n_readers']} readers{arm}{cases}"

    def stamp(self, measure: str) -> str:
        """Whether what is shown was planned, as the report says it."""
        is_declared = self.analysis.declared_model is not None or not (self.whole["missing"]["kind"] == "model").any()
        cohorts = list(dict.fromkeys(row.cohort for row in self.analysis.description.flow if row.cohort))
        protocol = None if self.study.is_read_elsewhere else self.study.protocol  # nothing was declared before reading
        return stamp_of(protocol, measure, is_declared=is_declared, cohort=self.cohort, cohorts=cohorts)

    def first_class(self, keys: Sequence[str]) -> str:
        """The class that is shown before somebody chooses: the positive one of two, the first of more."""
        return keys[-1] if len(self.labels) == 2 else keys[0]

    def in_order(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Rows with a label, models before readers as in the charts; those of one rater stay as they are."""
        place = {label: number for number, label in enumerate(self.styles)}
        return rows.sort_values("label", key=lambda labels: labels.map(place), kind="stable")

    def of(self, table: str, **wanted: str) -> pd.DataFrame:
        """The rows of a table in which every named column has the wanted value."""
        rows = self.tables[table]
        for column, value in wanted.items():
            rows = rows[rows[column] == value]
        return rows
