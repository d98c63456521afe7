"""The wheel holds both packages and the configurations, and neither benchmarks nor tools."""

import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in the wheel."""
    hatchling = pytest.importorskip("hatchling.builders.wheel", reason="builds the wheel")
    folder = tmp_path_factory.mktemp("wheel")
    (wheel,) = hatchling.WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_it_holds_the_two_packages_and_nothing_else(files: set[str]) -> None:
    folders = {name.split("/")[0] for name in files if ".dist-info/" not in name}
    assert folders == {"zoo", "zoo_plugins"}
    assert not [name for name in files if "benchmarks" in name or "tools/" in name or "bake_open_head" in name]


def test_it_holds_every_module_and_its_types(files: set[str]) -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "zoo").rglob("*.py")}
    modules |= {path.relative_to(ROOT / "plugins").as_posix() for path in (ROOT / "plugins/zoo_plugins").rglob("*.py")}
    assert modules <= files
    assert {"zoo/py.typed", "zoo_plugins/catalogue.yaml"} <= files


def test_it_holds_every_configuration_and_no_results(files: set[str]) -> None:
    configs = {f"zoo/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "configs").glob("*/*.yaml")}
    assert configs == {name for name in files if name.startswith("zoo/configs/")}
