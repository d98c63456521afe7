"""Catalogues: data that is read strictly, found by entry point, and of which a broken one takes nothing else down."""

import sys
from dataclasses import replace

import pytest

import zoo
from zoo.core.errors import ZooError
from zoo.core.registry import get_slot
from zoo.core.slot import PluginError
from zoo.hub.catalogue import all_entries, catalogue_problems, find_entry, is_known
from zoo.training.models import named_spec

SOURCE = {"source": "https://a.org/x.ckpt"}
WHOLE = """
mine-v1:
  task: matting
  model: bgmv2_resnet50
  arguments: {base_scale: 0.125}
  source: hf://ann/mattes/x.pth@v1
  size: 161000000
  sha256: "%s"
  licence: {name: MIT, url: https://a.org/LICENSE, non_commercial: false}
  training_data: VideoMatte240K
  metrics:
    - {data: my test set, preset: bgmv2, source: https://a.org, values: {sad: 9.2, conn: 7000}}
  default: true
  note: Be careful.
""" % ("0" * 64)


def test_an_entry_has_all_that_is_written(catalogue) -> None:
    catalogue(WHOLE)
    entry = find_entry("mine-v1")
    assert entry == find_entry("mine")
    assert (entry.task, entry.model, entry.arguments) == ("matting", "bgmv2_resnet50", {"base_scale": 0.125})
    assert (entry.size, entry.sha256, entry.note, entry.short_name) == (161_000_000, "0" * 64, "Be careful.", "mine")
    assert str(entry.licence) == "MIT (https://a.org/LICENSE)"
    assert entry.metrics[0].values == {"sad": 9.2, "conn": 7000}
    assert entry.catalogue == "lab of lab-weights 1.0"
    assert "lab_weights" not in sys.modules


def test_another_revision_has_neither_checksum_nor_size_nor_metrics(catalogue) -> None:
    catalogue(WHOLE)
    entry = find_entry("mine@v2")
    assert entry.source.address == "hf://ann/mattes/x.pth@v2"
    assert (entry.name, entry.size, entry.sha256, entry.metrics) == ("mine-v1@v2", None, None, ())
    assert find_entry("mine@v1") == find_entry("mine-v1")
    with pytest.raises(ZooError, match=r"^bgmv2_resnet50-official@v9: https://\S+ has no revisions"):
        find_entry("bgmv2_resnet50@v9")


def test_the_weights_that_come_with_the_package() -> None:
    entries = {entry.name: entry for claims in all_entries().values() for entry in claims}
    official = {name for name in entries if name.endswith("-official")}
    assert official == {
        "bgmv2_mobilenetv2-official",
        "bgmv2_resnet101-official",
        "bgmv2_resnet50-official",
        "dad3dnet_resnet50-official",
    }
    assert entries["dad3dnet_resnet50-official"].licence.non_commercial
    assert not entries["bgmv2_resnet50-official"].licence.non_commercial
    for entry in entries.values():
        if entry.model is not None:
            assert named_spec(entry.model, "x", entry.arguments)["init_args"]["checkpoint"] == "x"
        if entry.short_name is not None:
            assert find_entry(entry.short_name) == entry
    assert not catalogue_problems()
    assert "ablation_zoo" in zoo.list_plugins("catalogues")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({}, "'mine-v1' lacks source"),
        (
            {"source": "ftp://a.org/x"},
            "'mine-v1': source: 'ftp://a.org/x' is no source; expected one that begins with https",
        ),
        (SOURCE | {"licenze": "MIT"}, "'mine-v1' has the unknown key 'licenze'; did you mean licence"),
        (SOURCE | {"licence": "MIT"}, "'mine-v1': licence is 'MIT'; expected a mapping"),
        (SOURCE | {"licence": {"name": "MIT"}}, "'mine-v1': licence lacks non_commercial"),
        (SOURCE | {"size": "big"}, "'mine-v1': size is 'big'; expected a whole number"),
        (SOURCE | {"size": True}, "'mine-v1': size is True; expected a whole number"),
        (SOURCE | {"size": -3}, "'mine-v1': size is -3; expected the number of bytes"),
        (SOURCE | {"sha256": "abc"}, "'mine-v1': sha256 is 'abc'; expected 64 hexadecimal digits"),
        (SOURCE | {"task": ""}, "'mine-v1': task is ''; expected text"),
        (SOURCE | {"task": None}, "'mine-v1': task is None; expected text"),
        (SOURCE | {"arguments": {}}, "'mine-v1' has arguments but no model"),
        (SOURCE | {"metrics": ["good"]}, "'mine-v1': metrics is 'good'; expected a mapping with data, preset"),
        (
            SOURCE | {"metrics": [{"data": "d", "preset": "p", "source": "s", "values": {"sad": "low"}}]},
            "'mine-v1': metrics: values: sad is 'low'; expected a number",
        ),
        ({"source": "package://lab_weights/x.ckpt"}, "'mine-v1' is bundled in a package but has no sha256"),
    ],
)
def test_an_entry_that_cannot_be_right_is_named_with_its_catalogue(catalogue, entry, words: str) -> None:
    catalogue({"mine-v1": entry})
    (problem,) = catalogue_problems()
    assert problem.startswith("the catalogue 'lab' of lab-weights 1.0: ")
    assert words in problem
    assert problem.count("\n") == 0
    assert find_entry("bgmv2_resnet50").name == "bgmv2_resnet50-official"  # the others work
    with pytest.raises(ZooError, match=r"no weights named 'mine-v1'.* the catalogue 'lab' of lab-weights 1\.0: "):
        find_entry("mine-v1")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[1, 2", "is not usable YAML"),
        ("mine-v1: {}\nmine-v1: {}", "'mine-v1' is given twice"),
        ("? [1, 2]\n: {}", "unhashable"),
        ("- mine-v1", "holds list; expected entries by name"),
        ("", "holds NoneType; expected entries by name"),
        ("mine: {}", "'mine' is no name for weights; expected MODEL-WEIGHTS"),
        ("../mine-v1: {}", "'../mine-v1' is no name for weights"),
        (f"mine-{'x' * 300}: {{}}", "of at most 100 letters"),
        ("mine-v1: !!python/object/apply:os.system [false]", "is not usable YAML"),
        ("\udcff", "is not text in UTF-8"),
    ],
)
def test_a_broken_file_is_named_and_takes_nothing_down(catalogue, tmp_path, content: str, words: str) -> None:
    catalogue("{}")
    get_slot("catalogues").forget("lab")
    (tmp_path / "site-packages" / "lab_weights" / "catalogue.yaml").write_bytes(
        content.encode("utf-8", "surrogateescape")
    )
    (problem,) = catalogue_problems()
    assert words in problem
    assert is_known("bgmv2_resnet50")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("lab_weights", "its entry point is 'lab_weights'; expected package:file.yaml"),
        ("lab_weights:../../x.yaml", "expected an import name, and a file inside that package"),
        ("lab_weights:/x.yaml", "expected an import name, and a file inside that package"),
        ("lab_weights...:x.yaml", "expected an import name, and a file inside that package"),
        ("lab_weights:nothing.yaml", "No such file"),
        ("missing_package_x:catalogue.yaml", "there is no package 'missing_package_x'"),
    ],
)
def test_an_entry_point_that_leads_nowhere_is_named(install, tmp_path, target: str, words: str) -> None:
    (tmp_path / "site-packages" / "lab_weights").mkdir()
    (tmp_path / "site-packages" / "lab_weights" / "__init__.py").write_text("1 / 0")
    install("lab-weights", "1.0", {"zoo.catalogues": {"lab": target}})
    (problem,) = catalogue_problems()
    assert words in problem


def test_of_two_equal_names_neither_wins(catalogue) -> None:
    catalogue({"mine-v1": SOURCE, "mine-v2": SOURCE}, "lab")
    catalogue({"mine-v1": SOURCE, "bgmv2_resnet50-official": SOURCE}, "club")
    with pytest.raises(
        ZooError,
        match=r"'mine-v1' stands for mine-v1 \(club of club-weights 1\.0\) and mine-v1 \(lab of lab-weights 1\.0\): "
        "uninstall one of the catalogues, none is preferred",
    ):
        find_entry("mine-v1")
    with pytest.raises(ZooError, match=r"ablation-zoo .* and .*club-weights"):
        find_entry("bgmv2_resnet50-official")
    assert is_known("mine-v1")
    assert find_entry("mine-v2").name == "mine-v2"
    assert find_entry("bgmv2_resnet101").name == "bgmv2_resnet101-official"


def test_two_defaults_of_one_model_are_ambiguous_and_have_names_of_their_own(catalogue) -> None:
    catalogue({"mine-v1": SOURCE | {"default": True}, "mine-v2": SOURCE | {"default": True}})
    with pytest.raises(ZooError, match=r"'mine' stands for mine-v1 .* and mine-v2 .*: give the whole name"):
        find_entry("mine")
    assert find_entry("mine-v2") == replace(find_entry("mine-v1"), name="mine-v2")


def test_two_catalogues_of_one_name_are_both_named(catalogue, install) -> None:
    catalogue({"mine-v1": SOURCE})
    install("other-weights", "3.0", {"zoo.catalogues": {"lab": "other_weights:catalogue.yaml"}})
    with pytest.raises(PluginError, match=r"the catalogue 'lab' is provided by .*other-weights 3\.0"):
        get_slot("catalogues").get("lab")
    assert any("other-weights 3.0" in problem for problem in catalogue_problems())
    assert is_known("bgmv2_resnet50")
