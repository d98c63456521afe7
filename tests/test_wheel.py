"""What is installed: the wheel runs without the checkout, and holds neither benchmarks nor tools."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from skimage.data import astronaut

from zoo.media.images import write_image

ROOT = Path(__file__).parents[1]

README_COMMANDS = """
import sys, zoo, zoo.cli
assert zoo.__file__.startswith(sys.argv[1]), zoo.__file__
assert zoo.cli.main(["matte", "image.png", "background.png", "-o", "mattes"]) == 0
assert zoo.cli.main(["head", "image.png", "-o", "heads"]) == 0
"""


def build(kind: str, folder: Path) -> Path:
    """Return the wheel or the source distribution, built as `python -m build` does."""
    builders = pytest.importorskip(f"hatchling.builders.{kind}", reason="builds the package")
    builder = builders.WheelBuilder if kind == "wheel" else builders.SdistBuilder
    (file,) = builder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return Path(file)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an unpacked wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(build("wheel", folder)) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


@pytest.fixture(scope="module")
def files(wheel: Path) -> set[str]:
    """Names of the files in the wheel."""
    return {path.relative_to(wheel).as_posix() for path in wheel.rglob("*") if path.is_file()}


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


def test_it_holds_the_licences_and_the_metadata(wheel: Path, files: set[str]) -> None:
    (information,) = wheel.glob("*.dist-info")
    assert {f"{information.name}/licenses/{name}" for name in ("LICENSE", "NOTICE")} <= files
    metadata = (information / "METADATA").read_text(encoding="utf-8")
    assert "\nLicense-Expression: Apache-2.0\n" in metadata
    assert "\nDescription-Content-Type: text/markdown\n" in metadata


@pytest.mark.slow
def test_the_readme_s_commands_run_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    image = astronaut()[:256, 100:356]
    write_image(tmp_path / "image.png", image)
    write_image(tmp_path / "background.png", image // 2)
    done = subprocess.run(
        [sys.executable, "-P", "-c", README_COMMANDS, str(wheel)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(wheel)},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mattes/alpha/image.png").is_file()
    assert (tmp_path / "heads/obj/image.obj").is_file()


def test_the_source_distribution_holds_what_git_holds(tmp_path: Path) -> None:
    with tarfile.open(build("sdist", tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "NOTICE", "CITATION.cff", "CHANGELOG.md", "tests/test_wheel.py", "tools/site/pages.py"} <= names
    assert not [name for name in names if name.split("/")[0] in ("runs", "dist", "site", "wandb")]
