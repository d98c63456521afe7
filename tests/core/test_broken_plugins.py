"""Broken plugins of every kind: named by `zoo doctor` with the reason, and none takes anything else down."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import zoo
from zoo.commands import doctor
from zoo.core.plugin_files import load_plugin
from zoo.core.registry import get_slot, slots
from zoo.core.slot import PluginError

pytestmark = pytest.mark.usefixtures("same_process")

OURS = f"ablation-zoo {zoo.__version__}"

SELECTOR = """
from zoo.matting.parts import PatchSelector


class Broken(PatchSelector):
    {attributes}

    def __init__(self, {arguments}) -> None:
        super().__init__()

    def forward(self, error):
        return error
"""


def selector(attributes: str = "patches = None", arguments: str = "rows: int = 2") -> str:
    """A whole selector, but for what is given here."""
    return SELECTOR.format(attributes=attributes, arguments=arguments)


class Kind(NamedTuple):
    """A way of being broken.

    Args:
        source: of the module `broken_plugin`; None for none at all.
        reason: what `zoo doctor` says of it.
        target: of the entry point `Broken`.
        in_file: the same, of a file given with `--plugin`; None where it cannot be broken in that way.
    """

    source: str | None
    reason: str
    target: str = "broken_plugin:Broken"
    in_file: str | None = None


KINDS = {
    "raises": Kind("1 / 0", "ZeroDivisionError: division by zero", in_file="ZeroDivisionError: division by zero"),
    "exits": Kind("raise SystemExit('no licence')", "SystemExit: no licence", in_file="SystemExit: no licence"),
    "needs a missing module": Kind(
        "import not_there", "No module named 'not_there'", in_file="No module named 'not_there'"
    ),
    "syntax": Kind("def broken(", "SyntaxError: '(' was never closed", in_file="SyntaxError: '(' was never closed"),
    "no such module": Kind(None, "No module named 'broken_plugin'"),
    "no such attribute": Kind("Other = 1", "module 'broken_plugin' has no attribute 'Broken'"),
    "no class": Kind("Broken = 3", "expected a class deriving from zoo.matting.parts.PatchSelector, got 3."),
    "no part": Kind(
        "class Broken: pass",
        "expected a class deriving from zoo.matting.parts.PatchSelector, got <class 'broken_plugin.Broken'>.",
        in_file="defines no class that derives from a part",
    ),
    "part of another slot": Kind(
        "from zoo_plugins.losses.matting import AlphaL1 as Broken",
        "expected a class deriving from zoo.matting.parts.PatchSelector, got <class 'zoo_plugins.losses.matting",
    ),
    "abstract": Kind(
        "from zoo.matting.parts import PatchSelector\nclass Broken(PatchSelector): pass",
        "Broken does not implement forward, which zoo.selectors asks for.",
        in_file="'Broken' cannot be used: Broken does not implement forward, which zoo.selectors asks for.",
    ),
    "other name": Kind(
        "from zoo_plugins.selectors import TopK as Broken",
        "its class is called TopK; an entry point is named like its class.",
    ),
    "packed arguments": Kind(
        selector(arguments="*rows, **options"),
        "Broken's constructor takes *rows and **options; expected each argument by its name, with its type, so that",
        in_file="'Broken' cannot be used: Broken's constructor takes *rows and **options; expected each argument",
    ),
    "too new": Kind(
        selector("api_version = 2"),
        f"it was written for version 2 of zoo.selectors, and {OURS} has version 1: upgrade ablation-zoo, or "
        "install an older broken-selector.",
        in_file=f"it was written for version 2 of zoo.selectors, and {OURS} has version 1: upgrade "
        "ablation-zoo, or use an older copy of the file.",
    ),
    "too old": Kind(
        selector("api_version = 0"),
        f"it was written for version 0 of zoo.selectors, and {OURS} has version 1: upgrade broken-selector, "
        "or install an older ablation-zoo.",
        in_file="has version 1: adapt the file, or install an older ablation-zoo.",
    ),
    "version that is none": Kind(
        selector("api_version = '1.0'"),
        "Broken.api_version is '1.0'; expected a whole number, such as 1.",
        in_file="Broken.api_version is '1.0'; expected a whole number, such as 1.",
    ),
    "entry point without a class": Kind(
        "", "its entry point is 'broken_plugin'; expected module:Class.", "broken_plugin"
    ),
    "entry point of no names": Kind("", "its entry point is 'not a:'; expected module:Class.", "not a:"),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_broken_plugin_is_named_with_its_owner_and_takes_nothing_down(command, install, kind: Kind) -> None:
    modules = {} if kind.source is None else {"broken_plugin": kind.source}
    install("broken-selector", "0.9", {"zoo.selectors": {"Broken": kind.target}}, modules)
    listed = command("list", "selectors")
    assert listed.code == 0
    assert {"Broken                 broken-selector 0.9", f"TopK                   {OURS}"} <= {
        line.strip() for line in listed.out.splitlines()
    }
    found = command("doctor")
    assert found.code == 1
    (problem,) = [line for line in found.out.splitlines() if "Broken" in line]
    assert problem.startswith("PROBLEM: 'Broken' is installed (broken-selector 0.9) but failed to load: ")
    assert kind.reason in problem
    with pytest.raises(PluginError) as caught:
        get_slot("selectors").get("Broken")
    assert kind.reason in str(caught.value)
    assert get_slot("selectors").get("TopK").__name__ == "TopK"


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.in_file])
def test_a_broken_plugin_file_is_named_with_the_reason(tmp_path: Path, name: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(KINDS[name].source or "")
    with pytest.raises(PluginError) as caught:
        load_plugin(str(file))
    assert str(caught.value).startswith(f"--plugin {file} ") or str(caught.value).startswith(f"--plugin {file}: ")
    assert str(KINDS[name].in_file) in str(caught.value)
    assert "Broken" not in get_slot("selectors").names()


def test_a_slot_that_moved_on_names_the_plugins_that_did_not(install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("stripes", "2.3", {"zoo.selectors": {"Broken": "broken_plugin:Broken"}}, {"broken_plugin": selector()})
    slot = get_slot("selectors")
    monkeypatch.setattr(slot, "version", 3)
    assert slot.get("Broken").__name__ == "Broken"  # without a word it was written for version 1, which still works
    slot.loaded.clear()
    monkeypatch.setattr(slot, "oldest", 2)
    with pytest.raises(PluginError, match=r"for version 1 of zoo\.selectors, and .* has versions 2–3: upgrade stripes"):
        slot.get("Broken")


def test_a_base_of_several_parts_in_a_file_may_be_abstract(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    base = "from zoo.matting.parts import PatchSelector\nclass Common(PatchSelector): pass\n"
    file.write_text(base + "class Whole(Common):\n    def forward(self, error):\n        return error\n")
    assert [plugin.name for plugin in load_plugin(str(file))] == ["Whole"]


@pytest.fixture
def garbled(install, tmp_path: Path) -> Callable[[bytes], None]:
    """Installs a distribution with this list of entry points."""

    def make(content: bytes) -> None:
        install("garbled-parts", "0.3", {})
        (tmp_path / "site-packages" / "garbled_parts-0.3.dist-info" / "entry_points.txt").write_bytes(content)

    return make


@pytest.mark.parametrize(
    "content",
    [b"[zoo.selectors]\nBroken\n", b"[zoo.selectors]\nBroken = \xff\xfe:Broken\n", b"[console_scripts]\nnonsense\n"],
    ids=["no target", "no text", "in another group"],
)
def test_entry_points_that_cannot_be_read_are_named_and_take_nothing_down(command, garbled, content: bytes) -> None:
    garbled(content)
    assert f"TopK                   {OURS}" in command("list").out
    found = command("doctor")
    assert found.code == 1
    assert (
        "PROBLEM: the entry points of garbled-parts 0.3 cannot be read: expected UTF-8 lines `Name = module:Class` "
        "below a line `[group]`; reinstall or uninstall it.\n"
    ) in found.out


def test_where_torch_fails_over_them_the_culprit_is_still_named(
    command, garbled, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> list[str]:
        raise TypeError("Pair.__new__() missing 1 required positional argument: 'value'")

    garbled(b"[zoo.selectors]\nBroken\n")
    monkeypatch.setattr(doctor, "devices", fail)
    problems = [line for line in command("doctor").out.splitlines() if line.startswith("PROBLEM")]
    assert "the entry points of garbled-parts 0.3 cannot be read" in problems[0]
    assert "torch cannot be imported, so no plugin was tried: TypeError: Pair.__new__() missing 1" in problems[1]
    assert len(problems) == 2


def test_a_plugin_in_a_group_that_is_no_slot_is_named(command, install) -> None:
    install("stripes", "2.3", {"zoo.selector": {"Broken": "broken_plugin:Broken"}}, {"broken_plugin": selector()})
    found = command("doctor")
    assert found.code == 1
    assert (
        "PROBLEM: 'Broken' of stripes 2.3 stands in the group zoo.selector, which is no slot; did you mean selectors "
        "or detectors?" in found.out
    )


def test_every_slot_has_a_version_and_supports_it() -> None:
    assert all(1 <= slot.oldest <= slot.version for slot in slots().values())
