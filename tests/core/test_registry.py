"""Slots find plugins of any distribution alike, and a bad one takes nothing else down."""

import inspect
import pkgutil
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import zoo
from zoo.core.plugin_files import load_plugin
from zoo.core.registry import get_slot, load_plugins, slots
from zoo.core.slot import PluginError
from zoo.core.spec import Part

ROOT = Path(__file__).parents[2]

STRIPES = """
from zoo.matting.parts import PatchSelector


class Stripes(PatchSelector):
    '''Every other row.'''

    def __init__(self, rows: int = 2) -> None:
        super().__init__()
        self.rows = rows

    def forward(self, error):
        return error
"""


@pytest.fixture
def stripes(install) -> None:
    install(
        "stripes-selector", "2.3", {"zoo.selectors": {"Stripes": "stripes_plugin:Stripes"}}, {"stripes_plugin": STRIPES}
    )


def break_selector(install, source: str, name: str = "Broken") -> None:
    install("broken-selector", "0.9", {"zoo.selectors": {name: f"broken_plugin:{name}"}}, {"broken_plugin": source})


def test_a_strangers_plugin_is_found_like_a_built_in_one(stripes) -> None:
    selectors = get_slot("selectors")
    assert "Stripes" in selectors.names()
    assert "Stripes" in zoo.list_plugins("selectors")
    assert selectors.plugin("Stripes").origin == "stripes-selector 2.3"
    assert selectors.get("Stripes").__name__ == "Stripes"


def test_names_come_from_metadata_without_importing_the_plugin(stripes) -> None:
    import sys

    assert "Stripes" in get_slot("selectors").names()
    assert "stripes_plugin" not in sys.modules


def test_names_are_sorted(stripes) -> None:
    names = get_slot("selectors").names()
    assert names == sorted(names)


def test_an_unknown_name_is_answered_with_the_nearest(stripes) -> None:
    with pytest.raises(PluginError, match=r"no patch selector named 'Stripss'; did you mean Stripes\? Known: .*TopK"):
        get_slot("selectors").get("Stripss")


def test_an_unknown_slot_is_answered_with_the_nearest() -> None:
    with pytest.raises(PluginError, match=r"no slot named 'selector'; did you mean selectors or detectors\?"):
        get_slot("selector")


def test_a_broken_plugin_takes_nothing_else_down(install, stripes) -> None:
    break_selector(install, "import a_module_that_is_not_there")
    load_plugins()
    usable = get_slot("selectors").load_all()
    assert {"Stripes", "TopK"} <= set(usable)
    assert "Broken" not in usable
    assert isinstance(get_slot("selectors").failures["Broken"], ModuleNotFoundError)
    assert get_slot("selectors").plugin("Broken").origin == "broken-selector 0.9"


def test_two_distributions_with_one_name_are_both_named_and_neither_wins(install, stripes) -> None:
    install("other-stripes", "1.0", {"zoo.selectors": {"Stripes": "other_stripes:Stripes"}}, {"other_stripes": STRIPES})
    with pytest.raises(PluginError) as caught:
        get_slot("selectors").get("Stripes")
    assert "stripes-selector 2.3" in str(caught.value)
    assert "other-stripes 1.0" in str(caught.value)
    assert "Stripes" not in get_slot("selectors").load_all()


def test_a_name_of_ours_is_not_preferred_over_a_strangers(install) -> None:
    modules = {"other_topk": STRIPES.replace("Stripes", "TopK")}
    install("other-topk", "1.0", {"zoo.selectors": {"TopK": "other_topk:TopK"}}, modules)
    with pytest.raises(PluginError, match=r"ablation-zoo .* and other-topk 1\.0|other-topk 1\.0 and ablation-zoo"):
        get_slot("selectors").get("TopK")


def test_a_named_model_that_is_no_spec_is_broken(install) -> None:
    install(
        "bad-models", "1.0", {"zoo.models": {"bad": "bad_models:bad"}}, {"bad_models": "bad = {'backbone': 'resnet50'}"}
    )
    with pytest.raises(PluginError, match=r"bad-models 1\.0.*expected a spec"):
        get_slot("models").get("bad")


class TestPluginFile:
    def test_its_parts_are_registered_under_the_files_name(self, tmp_path: Path) -> None:
        file = tmp_path / "mine.py"
        file.write_text(STRIPES)
        (plugin,) = load_plugin(str(file))
        assert (plugin.slot, plugin.name, plugin.origin) == ("selectors", "Stripes", str(file))
        assert get_slot("selectors").get("Stripes")(rows=3).rows == 3

    def test_what_it_only_imports_is_not_registered_again(self, tmp_path: Path) -> None:
        file = tmp_path / "mine.py"
        file.write_text("from zoo_plugins.selectors import TopK\n" + STRIPES)
        assert [plugin.name for plugin in load_plugin(str(file))] == ["Stripes"]
        assert get_slot("selectors").get("TopK").__module__ == "zoo_plugins.selectors"

    def test_a_name_that_is_taken_is_ambiguous(self, tmp_path: Path) -> None:
        file = tmp_path / "mine.py"
        file.write_text(STRIPES.replace("Stripes", "TopK"))
        with pytest.raises(PluginError, match=r"'TopK' is provided by ablation-zoo .* and .*mine\.py"):
            load_plugin(str(file))

    @pytest.mark.parametrize(
        ("source", "reason"),
        [
            ("1 / 0", "failed to import: ZeroDivisionError"),
            ("raise SystemExit(3)", "failed to import: SystemExit"),
            ("", "defines no class that derives from a part"),
            ("class Lonely: pass", "defines no class that derives from a part"),
        ],
        ids=["raises", "exits", "empty", "no part"],
    )
    def test_one_that_cannot_be_used_is_named_with_the_reason(self, tmp_path: Path, source: str, reason: str) -> None:
        file = tmp_path / "mine.py"
        file.write_text(source)
        with pytest.raises(PluginError) as caught:
            load_plugin(str(file))
        assert str(file) in str(caught.value)
        assert reason in str(caught.value)

    def test_one_that_is_missing_is_named(self) -> None:
        with pytest.raises(PluginError, match=r"--plugin nowhere\.py: there is no such file"):
            load_plugin("nowhere.py")

    def test_one_that_is_not_python_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "mine.txt").write_text("A selector.")
        with pytest.raises(PluginError, match=r"mine\.txt failed to import: SyntaxError"):
            load_plugin(str(tmp_path / "mine.txt"))


def declared() -> dict[str, dict[str, str]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]


def test_every_slot_is_an_entry_point_group_and_the_other_way_round() -> None:
    assert set(declared()) == {"zoo.slots", *(f"zoo.{name}" for name in slots())}


@pytest.mark.parametrize(
    ("group", "name", "target"),
    [
        (group, name, target)
        for group, entries in declared().items()
        for name, target in entries.items()
        if group != "zoo.slots"
    ],
)
def test_every_built_in_plugin_can_be_used(group: str, name: str, target: str) -> None:
    slot = get_slot(group.removeprefix("zoo."))
    assert slot.plugin(name).target == target
    assert slot.get(name) is not None


def built_in_parts() -> set[type]:
    """Every concrete part that a module of `zoo_plugins` defines."""
    import zoo_plugins

    modules = [import_module(found.name) for found in pkgutil.walk_packages(zoo_plugins.__path__, "zoo_plugins.")]
    classes = [(cls, module) for module in modules for cls in vars(module).values() if isinstance(cls, type)]
    own = {cls for cls, module in classes if cls.__module__ == module.__name__}
    return {cls for cls in own if issubclass(cls, Part) and not inspect.isabstract(cls)}


def test_every_built_in_part_is_registered() -> None:
    registered = {target for entries in declared().values() for target in entries.values()}
    public = {cls for cls in built_in_parts() if not cls.__name__.startswith("_")}
    assert not {cls for cls in public if f"{cls.__module__}:{cls.__name__}" not in registered}


def test_parts_have_explicit_typed_arguments() -> None:
    load_plugins()
    for slot in slots().values():
        for cls in slot.load_all().values() if slot.base else ():
            if "__init__" not in vars(cls):
                continue
            for parameter in list(inspect.signature(cls.__init__).parameters.values())[1:]:
                assert parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD), (
                    f"{cls.__name__} takes {parameter}"
                )
                assert parameter.annotation is not parameter.empty, f"{cls.__name__}({parameter.name}) has no type"
