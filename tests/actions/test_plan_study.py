"""Planning from a pilot file, typed components and papers gives what the statistics give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from actions.plan_study import (
    Compared,
    analysis_components,
    pilot_components,
    plan_study,
    published_components,
    typed_components,
)
from core.errors import InputError, NotFoundError, StatisticsInputError
from core.report.file_analysis import analyse_file
from core.report.file_options import FileOptions
from core.statistics.mrmc import compare_arms, compare_model_with_readers
from core.statistics.panel_planning import PanelComponents, panel_power
from core.statistics.planning import OrComponents, mrmc_power
from core.statistics.reader_study import ReaderStudy
from core.statistics.roe_metz import RoeMetzModel


@pytest.fixture(scope="module")
def pilot(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ReaderStudy, np.ndarray]:
    """Five readers, two arms, 40 cases and a model, as a file and as arrays."""
    rng = np.random.default_rng(1)
    study = RoeMetzModel.structure("HH", separation=1.5, difference=0.5).simulate(
        n_readers=5, n_positive=20, n_negative=20, rng=rng
    )
    assert study.ratings is not None
    model = np.clip(0.5 + 0.2 * study.ratings[0, 0, 0], 0.01, 0.99)
    rows = ["kind,reader,case,arm,truth,rating_yes,rating_no,p_no,p_yes,label"]
    for arm, name in enumerate(("aided", "unaided")):
        for reader in range(5):
            for case, value in enumerate(study.ratings[0, arm, reader]):
                truth, label = ("yes" if said else "no" for said in (study.truth[case], value > 0.7))
                rows.append(f"reader,R{reader},c{case:02d},{name},{truth},{value:.10f},{-value:.10f},,,{label}")
    rows += [
        f"model,net,c{case:02d},,{'yes' if study.truth[case] else 'no'},,,{1 - value:.10f},{value:.10f},"
        for case, value in enumerate(model)
    ]
    path = tmp_path_factory.mktemp("pilot") / "pilot.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path, study, model


def test_components_of_a_pilot_are_those_of_its_analysis(pilot) -> None:
    path, study, model = pilot
    options = FileOptions(positive="yes")
    arms, notes = pilot_components(Compared.ARMS, path, options)
    wanted = OrComponents.from_pilot(compare_arms(study))
    assert arms.n_cases == 40
    for name in ("error", "cov1", "cov2", "cov3", "arm_by_reader"):
        assert getattr(arms, name) == pytest.approx(getattr(wanted, name), rel=1e-6)
    assert "plan with one that matters" in notes[0]
    panel, _ = pilot_components(Compared.PANEL, path, options, first="net", second="unaided")
    unaided = PanelComponents.from_pilot(compare_model_with_readers(study, model_ratings=model, arm="2"))
    for name in ("reader", "error", "cov2", "n_cases"):
        assert getattr(panel, name) == pytest.approx(getattr(unaided, name), rel=1e-6)
    with pytest.raises(NotFoundError, match=r"several comparisons.*aided.*--second"):
        pilot_components(Compared.PANEL, path, options)


def test_a_plan_holds_the_powers_and_the_fewest_cases() -> None:
    components = OrComponents(0.0002, 0.0008, 0.00035, 0.00034, 0.00024, 114)
    found = plan_study(Compared.ARMS, components, readers=[4, 6], cases=[100, 200], difference=0.05)
    assert [(each.n_readers, each.n_cases) for each in found.powers] == [(4, 100), (4, 200), (6, 100), (6, 200)]
    assert found.powers[3] == mrmc_power(components, n_readers=6, n_cases=200, difference=0.05)
    assert found.fewest[1][1].design is not None
    assert found.fewest[1][1].design.n_cases == 165
    assert found.to_dict()["fewest_cases"][1]["design"]["n_cases"] == 165
    panel = PanelComponents(0.001, 0.0012, 0.0006, 100)
    shown = plan_study(Compared.PANEL, panel, readers=[8], cases=[200], difference=0.0, margin=0.05)
    assert shown.powers[0] == panel_power(panel, n_readers=8, n_cases=200, difference=0.0, margin=0.05)


def test_typed_and_published_components() -> None:
    typed = typed_components(Compared.PANEL, ["reader=0.001", "error=0.0012", "cov2=0.0006"], 100)
    assert typed == PanelComponents(0.001, 0.0012, 0.0006, 100)
    made = published_components(
        Compared.ARMS, auc=0.85, positive_share=0.5, reader_sd=0.03, correlations={"r1": 0.5, "r2": 0.4, "r3": 0.3}
    )
    assert isinstance(made, OrComponents)
    assert made.arm_by_reader == pytest.approx(0.0009)
    assert made.cov1 == pytest.approx(0.5 * made.error)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["error=1"], "missing.*reader"),
        (["error=1", "error=2"], "given twice"),
        (["eror=1"], "not one of the components"),
        (["error=one"], "no number"),
    ],
)
def test_wrong_components_are_named(given: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        typed_components(Compared.PANEL, given, 100)


def test_what_cannot_be_planned_from_says_what_there_is(pilot) -> None:
    path, _, _ = pilot
    with pytest.raises(NotFoundError, match="readers, unaided"):
        pilot_components(Compared.PANEL, path, FileOptions(positive="yes"), first="another net")
    with pytest.raises(NotFoundError, match=r"no figure 'f1' to plan from\. Fix: use --figure auc or accuracy or sens"):
        pilot_components(Compared.ARMS, path, FileOptions(positive="yes"), figure="f1")
    with pytest.raises(InputError, match="r-readers"):
        published_components(Compared.PANEL, auc=0.8, positive_share=0.5, reader_sd=0.03, correlations={"r_model": 0.4})


@pytest.mark.parametrize("share", [1.5, -3.0, 0.0, float("nan")])
def test_a_share_of_positive_cases_is_never_cut_in_silence(share: float) -> None:
    with pytest.raises(StatisticsInputError, match="positive_share"):
        published_components(
            Compared.PANEL, auc=0.8, positive_share=share, reader_sd=0.03,
            correlations={"r_model": 0.4, "r_readers": 0.4},
        )  # fmt: skip


def test_a_study_that_was_analysed_gives_the_components_of_its_file(pilot) -> None:
    path, *_ = pilot
    options = FileOptions(positive="yes")
    for compared in Compared:
        arm = "aided" if compared is Compared.PANEL else ""
        wanted, notes = pilot_components(compared, path, options, second=arm)
        analysis = analyse_file(path, None, options).analysis
        found, said = analysis_components(compared, analysis, "the pilot", chosen=("", "", "", arm))
        assert (found, said) == (wanted, notes)
    with pytest.raises(NotFoundError, match="the pilot has no figure 'x'"):
        analysis_components(Compared.ARMS, analyse_file(path, None, options).analysis, "the pilot", figure="x")


def test_a_run_is_kept_whole_in_the_protocol_of_a_draft(tmp_path: Path) -> None:
    from core.protocol import Planned, Protocol
    from core.protocol_file import read_protocol, write_protocol

    components = typed_components(Compared.PANEL, ["reader=0.0008", "error=0.001", "cov2=0.0004"], 100)
    run = plan_study(Compared.PANEL, components, readers=[3, 10], cases=[100, 500], difference=0.05).to_dict()
    kept = read_protocol(write_protocol(Protocol(title="T", planned=Planned(power_run=run))))
    assert kept.planned.power_run == run
