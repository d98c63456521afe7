"""Every shipped study can be planned, and rows of every kind run to the end in its smallest profile."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import timm
from safetensors.torch import save_file

from zoo.core.errors import ZooError
from zoo.runner.configs import CONFIGS
from zoo.study.file import NOISE_FLOOR, Row, Study, read_study
from zoo.study.plan import planner as planning
from zoo.study.plan.planner import Plan, make_plan
from zoo.study.plan.resolve import Resolver
from zoo.study.record import read_job, read_result
from zoo.study.run.start import make_engine, run_study

STUDIES = sorted(f"studies/{file.stem}" for file in (CONFIGS / "studies").glob("*.yaml"))
PROFILES = ("smoke", "cpu", "full")
LEAST_SEEDS = {"smoke": 1, "cpu": 2, "full": 3}

FOLDERS = {
    "data/VideoMatte240K": ["fgr/0001.mp4", "pha/0001.mp4"],
    "data/Distinctions-646": ["fgr/0001.png", "pha/0001.png"],
    "data/backgrounds": ["0001.jpg"],
}
"""The published data as far as a plan looks at it: which files there are, in `train` and in `test`."""


@pytest.fixture(scope="module", autouse=True)
def one_parser() -> Iterator[None]:
    """The plans share a parser, which takes seconds to make."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(planning, "Resolver", cache(Resolver))
        yield


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the encoders that `bgmv2_starts` begins with, with random weights."""
    folder = tmp_path_factory.mktemp("encoders")
    for file, name in (("movenet", "mobilenetv2_100"), ("lite0", "tf_efficientnet_lite0")):
        save_file(timm.create_model(name).state_dict(), folder / f"{file}.safetensors")
    return folder


@pytest.fixture
def with_encoders(encoders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoders lie in the working directory."""
    (tmp_path / "encoders").symlink_to(encoders)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def published(tmp_path: Path, with_encoders: None) -> None:
    """A folder with names of the published matting data in it, and the encoders, as the working directory."""
    for folder, files in FOLDERS.items():
        for split in ("train", "test"):
            for file in files:
                path = tmp_path / folder / split / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()


@pytest.mark.parametrize("profile", [None, *PROFILES])
@pytest.mark.parametrize("name", STUDIES)
def test_study_is_understood(name: str, profile: str | None) -> None:
    study = read_study(name, profile)
    assert study.metrics
    assert len(study.seeds) >= LEAST_SEEDS.get(profile or "full", 1)
    assert study.noise_floor == (profile != "smoke")
    assert study.row(study.baseline).changes == {}
    assert all(row.changes for row in study.rows if row.name != study.baseline)


@pytest.mark.parametrize("name", STUDIES)
def test_published_numbers_stand_beside_published_data_only(name: str) -> None:
    for profile in ("smoke", "cpu"):
        study = read_study(name, profile)
        shown = {metric.name for metric in study.metrics}
        assert not any(shown & row.published.keys() for row in study.rows)
    study = read_study(name, "full")
    shown = {metric.name for metric in study.metrics}
    published = [row.name for row in study.rows if shown & row.published.keys()]
    assert bool(published) == bool(study.source)


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_cpu_profile_can_be_planned(name: str, with_encoders: None) -> None:
    plan = make_plan(replace(one_of_each_kind(read_study(name, "cpu")), sizes={}))
    assert {row.data["synthetic"] for row in plan.rows} == {"all"}
    check_first_stages(plan)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in STUDIES if "bgmv2" in name])
def test_full_profile_can_be_planned(name: str, published: None) -> None:
    plan = make_plan(replace(one_of_each_kind(read_study(name, "full")), sizes={}))
    assert {row.data["synthetic"] for row in plan.rows} == {"none"}
    check_first_stages(plan)


@pytest.mark.parametrize("name", STUDIES)
def test_full_profile_names_what_is_missing(name: str, with_encoders: None) -> None:
    missing = "data/backgrounds/train" if "bgmv2" in name else "DAD-3DHeadsDataset/train"
    study = read_study(name, "full")
    with pytest.raises(ZooError, match=missing) as caught:
        make_plan(replace(study, rows=(study.row(study.baseline),)))
    assert len(str(caught.value)) < 200


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in STUDIES if "plans" not in name])  # those run whole in .ci/run
def test_smoke_profile_runs_a_row_of_every_kind(name: str, tmp_path: Path, with_encoders: None) -> None:
    study = without_smaller_kinds(one_of_each_kind(read_study(name, "smoke")))
    outcome = run_study(make_plan(study), tmp_path, make_engine("Local", []))
    assert outcome.complete, [read_result(directory) for directory in outcome.failed]
    for row in study.rows:
        directory = tmp_path / study.title / row.folder / "seed_0"
        result = read_result(directory)
        assert result is not None
        assert set(study.measured) <= result.metrics.keys()
        assert bool(read_job(directory).needs) == (row.evaluate_only or study.first_stage is not None)


def slots(row: Row) -> frozenset[str]:
    """The slots that a row changes."""
    return frozenset(".".join(key.split(".")[:2]) for key in row.changes)


def one_of_each_kind(study: Study) -> Study:
    """The study with the first row of those that change the same slots: they all do in CI what that one does."""
    kinds: dict[frozenset[str], Row] = {}
    for row in study.rows:
        kinds.setdefault(slots(row), row)
    return replace(study, rows=tuple(kinds.values()))


def without_smaller_kinds(study: Study) -> Study:
    """The study without rows that are trained and change slots which another row changes along with more of them."""
    larger = [slots(row) for row in study.rows]
    rows = [
        row
        for row in study.rows
        if row.evaluate_only or row.name == study.baseline or not any(slots(row) < kind for kind in larger)
    ]
    return replace(study, rows=tuple(rows))


def check_first_stages(plan: Plan) -> None:
    """Every row that is trained starts from a first stage, where the study has one; most rows share the baseline's."""
    runs = plan.runs()
    trained = [run for run in runs if run.trains and not run.first_stage]
    assert all((run.needs is not None) == (plan.study.first_stage is not None) for run in trained)
    stages = [run for run in runs if run.first_stage and run.row != NOISE_FLOOR]
    assert len(stages) < len(trained)
