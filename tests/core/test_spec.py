"""Parts remember the plain arguments they were built from, and are built from them again."""

import copy
import dataclasses
import enum
import inspect
import json
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from zoo.core.errors import ZooError
from zoo.core.plugin_files import load_plugin
from zoo.core.registry import load_plugins, slots
from zoo.core.slot import PluginError
from zoo.core.spec import Part, build, is_spec, without_downloads
from zoo.matting.parts import PatchSelector
from zoo.weights.part_texts import texts_for_parts
from zoo.weights.reading import without_retired

PARTS = '''
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from zoo.core.parts import Augmentation
from zoo.core.spec import Part
from zoo.matting.parts import PatchSelector


class Rows(PatchSelector):
    """A part with arguments of many kinds."""

    def __init__(
        self, rows: int, names: list[str] | None = None, folder: str | Path = "here", *, scale: float = 0.5
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(3, rows)

    def forward(self, error):
        return error


class ManyRows(Rows):
    """A subclass with a constructor of its own."""

    def __init__(self, many: int = 7) -> None:
        super().__init__(rows=many, scale=2.0)


class SameRows(Rows):
    """A subclass without one."""


class Both(PatchSelector):
    """A part that holds parts."""

    def __init__(
        self, first: PatchSelector, others: dict[str, PatchSelector], rest: list[PatchSelector] | None = None
    ) -> None:
        super().__init__()
        self.first = first

    def forward(self, error):
        return error


@dataclass
class Window:
    """Plain data, no part."""

    low: float = 0.0
    sizes: list[int] = field(default_factory=lambda: [1, 2])


class Cropped(PatchSelector):
    """A part with a record as argument."""

    def __init__(self, window: Window, windows: dict[str, Window] | None = None) -> None:
        super().__init__()
        self.window = window

    def forward(self, error):
        return error


@dataclass(eq=False)
class Level(PatchSelector):
    """A part that is a dataclass."""

    level: int = 1
    options: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        nn.Module.__init__(self)

    def forward(self, error):
        return error


@dataclass(frozen=True)
class Frozen(Part):
    """A frozen dataclass."""

    level: int = 1


class Bare(Part):
    """No constructor at all."""


class NoArguments(PatchSelector):
    """A module without a constructor of its own."""

    def forward(self, error):
        return error
'''


class Holder(Part):
    """Takes anything."""

    def __init__(self, value: object) -> None:
        self.value = value


@pytest.fixture
def parts(tmp_path: Path) -> Iterator:
    file = tmp_path / "many_parts.py"
    file.write_text(PARTS)
    name = load_plugin(str(file))[0].target.partition(":")[0]
    yield sys.modules[name]
    del sys.modules[name]


def test_all_arguments_are_recorded_by_name_defaults_included(parts) -> None:
    arguments = {"rows": 2, "names": None, "folder": "here", "scale": 0.5}
    assert parts.Rows(2).spec == {"class_path": "Rows", "init_args": arguments}
    assert parts.Rows(rows=2, scale=0.1).spec["init_args"] == arguments | {"scale": 0.1}


def test_tuples_paths_and_mappings_become_plain(parts) -> None:
    spec = parts.Rows(1, ("a", "b"), Path("there") / "x").spec
    assert spec["init_args"]["names"] == ["a", "b"]
    assert spec["init_args"]["folder"] == str(Path("there/x"))
    assert Holder({1: (True, None)}).spec["init_args"]["value"] == {"1": [True, None]}


def test_parts_inside_a_part_become_specs(parts) -> None:
    rows = parts.Rows(2)
    spec = parts.Both(rows, {"one": parts.ManyRows()}, [rows]).spec["init_args"]
    assert spec == {
        "first": rows.spec,
        "others": {"one": {"class_path": "ManyRows", "init_args": {"many": 7}}},
        "rest": [rows.spec],
    }


def test_a_subclass_records_its_own_arguments(parts) -> None:
    assert parts.ManyRows().spec == {"class_path": "ManyRows", "init_args": {"many": 7}}
    assert parts.SameRows(3).spec["class_path"] == "SameRows"
    assert parts.SameRows(3).spec["init_args"]["rows"] == 3


def test_a_class_without_a_constructor_has_no_arguments(parts) -> None:
    assert parts.NoArguments().spec == {"class_path": "NoArguments", "init_args": {}}
    assert parts.Bare().spec == {"class_path": "Bare", "init_args": {}}


def test_dataclasses_are_parts_too_and_plain_records_as_arguments(parts) -> None:
    assert parts.Level(4).spec == {"class_path": "Level", "init_args": {"level": 4, "options": {}}}
    assert parts.Frozen(2).spec == {"class_path": "Frozen", "init_args": {"level": 2}}
    spec = parts.Cropped(parts.Window(0.5), {"a": parts.Window()}).spec
    assert spec["init_args"] == {
        "window": {"low": 0.5, "sizes": [1, 2]},
        "windows": {"a": {"low": 0.0, "sizes": [1, 2]}},
    }


def test_the_record_survives_pickle_and_deepcopy(parts) -> None:
    part = parts.Both(parts.Rows(2, ["a"]), {"x": parts.ManyRows(3)})
    assert pickle.loads(pickle.dumps(part)).spec == part.spec
    assert copy.deepcopy(part).spec == part.spec
    level = parts.Level(4, {"a": 1.0})
    assert pickle.loads(pickle.dumps(level)).spec == level.spec


def test_a_copy_keeps_its_weights(parts) -> None:
    part = parts.Rows(2)
    with torch.no_grad():
        part.linear.weight.fill_(3)
    assert (pickle.loads(pickle.dumps(part)).linear.weight == 3).all()


def test_a_spec_is_a_copy(parts) -> None:
    names = ["a"]
    part = parts.Rows(1, names)
    names.append("b")
    part.spec["init_args"]["names"].append("c")
    part.spec["init_args"]["rows"] = 9
    assert part.spec["init_args"] == {"rows": 1, "names": ["a"], "folder": "here", "scale": 0.5}


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Mode(str, enum.Enum):  # noqa: UP042 (its text form differs from a StrEnum's)
    FAST = "fast"


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (np.float64(0.5), 0.5),
        (Colour.RED, "red"),
        (Mode.FAST, "fast"),
        (Level.HIGH, 3),
        (True, True),
        (None, None),
        (1e-4, 1e-4),
        ("", ""),
    ],
)
def test_numbers_and_texts_are_recorded_as_python_s_own(given: object, plain: object) -> None:
    value = Holder(given).spec["init_args"]["value"]
    assert value == plain
    assert type(value) is type(plain)


@dataclasses.dataclass
class Unplain:
    tensor: torch.Tensor


@pytest.mark.parametrize(
    "value",
    [
        nn.Linear(1, 1),
        torch.zeros(1),
        np.zeros(2),
        np.int64(3),
        print,
        object(),
        int,
        {1, 2},
        b"x",
        [1, [nn.ReLU()]],
        {"a": {"b": 1j}},
        Unplain(torch.zeros(1)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_that_is_not_plain_is_refused_with_the_argument(value: object) -> None:
    with pytest.raises(TypeError, match=r"Holder\(value=\.\.\.\) got \w+; an argument of a part is plain data"):
        Holder(value)


def test_a_wrong_call_raises_what_python_raises(parts) -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'rows'"):
        parts.Rows()
    with pytest.raises(TypeError, match="unexpected keyword argument 'row'"):
        parts.Rows(row=1)


def test_build_makes_the_part_again(parts) -> None:
    part = parts.Both(parts.Rows(2), {"a": parts.ManyRows(3)}, [parts.Level(2)])
    again = build(json.loads(json.dumps(part.spec)))
    assert type(again) is parts.Both
    assert type(again.first) is parts.Rows
    assert again.spec == part.spec


def test_build_looks_names_up_and_imports_nothing() -> None:
    for path in ("os.system", "zoo_plugins.selectors.TopK", "antigravity.fly"):
        with pytest.raises(PluginError, match=f"no plugin named '{path}'"):
            build({"class_path": path, "init_args": {}})
    assert "antigravity" not in sys.modules
    for name, word in (("bgmv2_resnet50", "model"), ("ablation_zoo", "catalogue")):
        with pytest.raises(PluginError, match=f"'{name}' is a {word}, which is data; expected the name of a class"):
            build({"class_path": name, "init_args": {}})


def defaultable() -> list[type]:
    """Every built-in part that can be made without an argument."""
    load_plugins()
    classes = [cls for slot in slots().values() if slot.base for cls in slot.load_all().values()]
    return [
        cls
        for cls in classes
        if all(
            p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
            for p in list(inspect.signature(cls.__init__).parameters.values())[1:]
        )
    ]


@pytest.mark.parametrize("cls", defaultable(), ids=lambda cls: cls.__name__)
def test_every_built_in_part_is_rebuilt_from_its_spec(cls: type) -> None:
    if cls.__name__ == "Ray":
        pytest.importorskip("ray")
    part = cls()
    spec = json.loads(json.dumps(part.spec))
    assert is_spec(spec)
    again = build(spec)
    assert type(again) is cls
    assert again.spec == part.spec
    if isinstance(part, nn.Module):
        assert again.state_dict().keys() == part.state_dict().keys()


def test_a_backbone_s_spec_does_not_change_when_it_is_built() -> None:
    backbone = build({"class_path": "TimmBackbone", "init_args": {"name": "mobilenetv2_050"}})
    before = backbone.spec
    backbone.build(6, (2, 4, 8, 16))
    assert (
        backbone.spec
        == before
        == {
            "class_path": "TimmBackbone",
            "init_args": {
                "name": "mobilenetv2_050",
                "output_stride": 16,
                "pretrained": False,
                "stride_in_first_conv": False,
                "activation": None,
                "checkpoint": None,
            },
        }
    )


def test_what_is_saved_needs_neither_a_file_nor_a_network() -> None:
    spec = {
        "class_path": "A",
        "init_args": {
            "checkpoint": "x.pth",
            "backbone": {"class_path": "B", "init_args": {"pretrained": True, "depth": 3}},
            "list": [{"pretrained": True}],
        },
    }
    assert without_downloads(spec) == {
        "class_path": "A",
        "init_args": {
            "backbone": {"class_path": "B", "init_args": {"pretrained": False, "depth": 3}},
            "list": [{"pretrained": False}],
        },
    }
    assert spec["init_args"]["checkpoint"] == "x.pth"


def test_text_where_a_part_belongs_is_found_at_any_depth(parts) -> None:
    def found(**arguments: object) -> list[str]:
        return list(texts_for_parts({"class_path": "Both", "init_args": arguments}, None))

    good = {"class_path": "Rows", "init_args": {"rows": 1, "names": ["os.system"], "folder": "a.yaml"}}
    assert found(first=good, others={"a": good}, rest=[good]) == []
    assert found(first="os.system", others={}) == ["os.system"]
    assert found(first=good, others={"a": "os.system"}) == ["os.system"]
    assert found(first=good, others="a.yaml") == ["a.yaml"]
    assert found(first=good, others={}, rest=["x", good]) == ["x"]
    assert found(first={"class_path": "Both", "init_args": {"first": "inner", "others": {}}}, others={}) == ["inner"]
    assert found(first={"class_path": "Both", "init_args": {"first": "inner"}, "dict_kwargs": {}}, others={}) == [
        "inner"
    ]


def test_records_in_a_spec_are_made(shared_tiny) -> None:
    load_plugin(str(shared_tiny.plugin))
    dataset = {"class_path": "Tiny", "init_args": {"count": 2}}
    spec = {
        "class_path": "MattingData",
        "init_args": {
            "train": {"one": {"dataset": dataset, "canvas": 64}},
            "augmentations": {},
            "validation": {"dataset": dataset, "disturbance": {"severity": 2.0}},
        },
    }
    data = build(spec)
    assert data.stages["one"].canvas == 64
    assert data.validation.disturbance.severity == 2
    assert data.spec["init_args"]["train"]["one"]["dataset"] == {
        "class_path": "Tiny",
        "init_args": {"count": 2, "size": 64},
    }


# Retired arguments


def test_an_old_spec_builds_without_the_arguments_that_its_class_retired() -> None:
    refiner = {"class_path": "PatchRefiner", "init_args": {"kernel_size": 1, "windows": "torch"}}
    assert build(refiner).spec == {"class_path": "PatchRefiner", "init_args": {"kernel_size": 1}}
    assert without_retired({"a": [refiner]}) == {"a": [build(refiner).spec]}
    assert refiner["init_args"]["windows"] == "torch"
    with pytest.raises(TypeError, match="unexpected keyword argument 'window'"):
        build({"class_path": "PatchRefiner", "init_args": {"window": "torch"}})


@pytest.mark.parametrize("body", ["self.layer = nn.Linear(2, 2)", "self.rows = 3", "self.weight = nn.Parameter()"])
def test_a_forgotten_super_call_is_one_sentence(body: str) -> None:
    class Forgetful(PatchSelector):
        def __init__(self) -> None:
            exec(body, {"self": self, "nn": nn})

        def forward(self, error: Tensor) -> Tensor:
            return error

    with pytest.raises(ZooError, match=r"Forgetful \(.*test_spec\.py\) .* super\(\).__init__\(\): call that first"):
        Forgetful()
