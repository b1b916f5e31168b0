"""Multi-reader results of this project under the names that the reference table gives to R's.

The reference table lists dataset, statistic and parameters with the value that MRMCaov, RJafroc or iMRMC gave.
"""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

import numpy as np

from core.statistics.dbm import DorfmanBerbaumMetz, dorfman_berbaum_metz
from core.statistics.imrmc_ustat import UstatAnalysis, imrmc_analysis
from core.statistics.obuchowski_rockette import ObuchowskiRockette, obuchowski_rockette
from core.statistics.planning import OrComponents, cases_for_power, mrmc_power
from core.statistics.reader_study import ReaderStudy

#: RJafroc's cap: it answers 2001 when 2000 cases are not enough.
RJAFROC_UNREACHED = 2001
#: R computes these p-values as 1 - cdf, which leaves an absolute rounding error of a few 2**-53.
ROUNDED_BY_SUBTRACTION = re.compile("pValue|p-value")


def compute(dataset: str, statistic: str, parameters: str, data_folder: Path) -> float | None:
    """Value of one row of the reference table, or None if the row is not a multi-reader one."""
    if dataset == "VanDyke":
        study = van_dyke(data_folder)
        if statistic.startswith("DBM_"):
            return _dbm(study_dbm(data_folder), statistic)
        if statistic.startswith("OR_") and parameters.startswith("variance component"):
            return _component(study_or(data_folder, "jackknife"), statistic.removeprefix("OR_"))
        if statistic.startswith("OR_"):
            return _or(data_folder, statistic, parameters)
        if statistic == "auc":
            found = re.fullmatch(r"treatment (\w+) reader (\w+)", parameters)
            if found is None:
                return None
            values = study.figures().values()
            return float(values[study.arms.index(found[1]), study.readers.index(found[2])])
        if statistic.split(" ")[0] in ("RRRC", "FRRC", "RRFC"):
            return _power(data_folder, statistic, parameters)
    if statistic.startswith("iMRMC ") and dataset in ("VanDyke", "iMRMC_dfMRMC_example"):
        kind = "ustat" if " Ustat " in statistic else "mle"
        return _imrmc(ustat(dataset, kind, data_folder), statistic.split(" ")[-1], parameters)
    return None


@cache
def van_dyke(data_folder: Path) -> ReaderStudy:
    """Van Dyke: 5 readers, 114 cases, 2 treatments."""
    with (data_folder / "VanDyke.csv").open() as file:
        rows = list(csv.DictReader(file))
    return ReaderStudy.from_long(
        reader=[row["reader"] for row in rows],
        case=[row["case"] for row in rows],
        arm=[row["treatment"] for row in rows],
        truth=[int(row["truth"]) for row in rows],
        rating=[float(row["rating"]) for row in rows],
    )


@cache
def imrmc_example(data_folder: Path) -> ReaderStudy:
    """The example of iMRMC: truth stands in rows of its own."""
    with (data_folder / "iMRMC_dfMRMC_example.csv").open() as file:
        rows = list(csv.DictReader(file))
    truth = {row["caseID"]: int(float(row["score"])) for row in rows if row["modalityID"] == "truth"}
    readings = [row for row in rows if row["modalityID"] != "truth"]
    return ReaderStudy.from_long(
        reader=[row["readerID"] for row in readings],
        case=[row["caseID"] for row in readings],
        arm=[row["modalityID"] for row in readings],
        truth=[truth[row["caseID"]] for row in readings],
        rating=[float(row["score"]) for row in readings],
        arms=sorted({row["modalityID"] for row in readings}),
    )


@cache
def study_or(data_folder: Path, covariance: str) -> ObuchowskiRockette:
    """Obuchowski-Rockette analysis of Van Dyke."""
    return obuchowski_rockette(van_dyke(data_folder).figures(), covariance=covariance)


@cache
def study_dbm(data_folder: Path) -> DorfmanBerbaumMetz:
    """Dorfman-Berbaum-Metz analysis of Van Dyke."""
    return dorfman_berbaum_metz(van_dyke(data_folder).figures())


@cache
def ustat(dataset: str, kind: str, data_folder: Path) -> UstatAnalysis:
    """Moment analysis of a data set."""
    study = van_dyke(data_folder) if dataset == "VanDyke" else imrmc_example(data_folder)
    return imrmc_analysis(study, kind=kind)


def _component(result: ObuchowskiRockette, name: str) -> float | None:
    """Variance component by RJafroc's name."""
    parts = result.components
    return {
        "VarR": parts.reader,
        "VarTR": parts.arm_by_reader,
        "Cov1": parts.cov1,
        "Cov2": parts.cov2,
        "Cov3": parts.cov3,
        "Var": parts.error,
    }.get(name)


def _or(data_folder: Path, statistic: str, parameters: str) -> float | None:
    """Cell of MRMCaov's summary: OR_<scope>_<column>, OR_<scope>_diff_<column>, OR_<scope>_mean_<column>."""
    found = re.fullmatch(r"cov=(\w+)(?: (.+))?", parameters)
    if found is None:
        return None
    result = study_or(data_folder, found[1].lower())
    _, scope_name, *rest = statistic.split("_")
    scope = result.scope(scope_name)
    column = rest[-1]
    if rest[0] == "diff":
        test = scope.contrasts[0].test
        estimate = test.difference
        assert estimate is not None
        cells = {"t": test.statistic, "z": test.statistic, "p-value": test.p_value, "df": test.degrees_of_freedom}
    elif rest[0] == "mean":
        assert found[2].startswith("test")
        arm = result.arms.index(found[2].removeprefix("test"))
        estimate, cells = scope.means[arm], {"df": scope.mean_degrees_of_freedom[arm]}
    else:
        dfs = scope.overall.degrees_of_freedom
        first, second = dfs if isinstance(dfs, tuple) else (dfs, None)
        cells = {
            "F": scope.overall.statistic,
            "X2": scope.overall.statistic,
            "df": first,
            "df1": first,
            "df2": second,
            "p-value": scope.overall.p_value,
            "Denominator": scope.denominator,
            "MS(T)": result.mean_square_arm,
            "MS(T:R)": result.mean_square_arm_reader,
        }
        value = cells[column] if column in cells else _component(result, column)
        return None if value is None else float(value)
    cells |= {
        "Estimate": estimate.value,
        "StdErr": estimate.standard_error,
        "CI.Lower": estimate.lower if estimate.wald_lower is None else estimate.wald_lower,
        "CI.Upper": estimate.upper if estimate.wald_upper is None else estimate.wald_upper,
    }
    value = cells.get(column)
    return None if value is None or isinstance(value, tuple) else float(value)


def _dbm(result: DorfmanBerbaumMetz, statistic: str) -> float | None:
    """Cell of RJafroc's DBM analysis."""
    _, name, *rest = statistic.split("_")
    if not rest:
        parts = result.components
        return {
            "VarR": parts.reader,
            "VarC": parts.case,
            "VarTR": parts.arm_by_reader,
            "VarTC": parts.arm_by_case,
            "VarRC": parts.reader_by_case,
            "VarErr": parts.error,
        }.get(name)
    scope = result.scope(name)
    if rest[0] == "diff":
        difference = scope.contrasts[0].test.difference
        assert difference is not None
        return {
            "Estimate": difference.value,
            "StdErr": difference.standard_error,
            "CILower": difference.wald_lower,
            "CIUpper": difference.wald_upper,
        }.get(rest[1])
    dfs = scope.overall.degrees_of_freedom
    assert isinstance(dfs, tuple)
    return {
        "FStat": scope.overall.statistic,
        "p": scope.overall.p_value,
        "MS": result.mean_squares["T"],
        "DF": dfs[0],
        "ErrorDF": dfs[1],
    }.get(rest[0])


def _power(data_folder: Path, statistic: str, parameters: str) -> float | None:
    """Cell of RJafroc's sample size functions."""
    scope, cell = statistic.split(" ")
    cell = cell.removesuffix(scope)
    components = OrComponents.from_pilot(study_or(data_folder, "jackknife"))
    found = re.fullmatch(r"power_J(\d+)_K(\d+)_es([\d.]+)_(OR|DBM2004)", parameters)
    if found is not None:
        power = mrmc_power(
            components,
            n_readers=int(found[1]),
            n_cases=int(found[2]),
            difference=float(found[3]),
            scope=scope,
            is_dbm=found[4] == "DBM2004",
        )
    else:
        found = re.fullmatch(r"K_for_power([\d.]+)_J(\d+)_es([\d.]+)_OR", parameters)
        if found is None:
            return None
        readers, difference = int(found[2]), float(found[3])
        size = cases_for_power(components, n_readers=readers, difference=difference, power=float(found[1]), scope=scope)
        if size.design is not None:
            power = size.design
        else:
            power = mrmc_power(
                components, n_readers=readers, n_cases=RJAFROC_UNREACHED, difference=difference, scope=scope
            )
    return {
        "power": power.power,
        "ncp": power.noncentrality,
        "df2": power.degrees_of_freedom,
        "f": power.critical_value,
        "chsq": power.critical_value,
        "K": float(power.n_cases),
    }.get(cell)


def _imrmc(result: UstatAnalysis, cell: str, parameters: str) -> float | None:
    """Cell of iMRMC's table."""
    first, second = (
        name.removeprefix("m") if re.fullmatch(r"m\d", name) else name for name in parameters.split(" vs ")
    )
    if second == "NO_MOD":
        row = next(item for item in result.arms if item.first == first)
    else:
        row = result.pair(first, second)
    value = {
        "AUCA": row.first_auc,
        "AUCB": row.second_auc,
        "AUCAminusAUCB": row.estimate.value,
        "varAUCA": row.first_variance,
        "varAUCB": row.second_variance,
        "varAUCAminusAUCB": row.variance,
        "dfBDG": row.degrees_of_freedom,
        "pValueBDG": row.test.p_value,
        "botCIBDG": row.estimate.wald_lower,
        "topCIBDG": row.estimate.wald_upper,
        "pValueNormal": row.normal_test.p_value,
    }.get(cell)
    return None if value is None else float(value)


def is_close(computed: float, expected: float, rel_tol: float, statistic: str) -> bool:
    """Agreement at the tolerance of the row; p-values that R got by subtraction also within its rounding."""
    abs_tol = 5e-16 if ROUNDED_BY_SUBTRACTION.search(statistic) else 0.0
    return bool(np.isclose(computed, expected, rtol=rel_tol, atol=abs_tol))
