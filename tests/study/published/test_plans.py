"""Published plans: both formats are read alike, and a file that is in neither is one sentence with line and field."""

import json
from pathlib import Path

import pytest

from zoo.core.errors import ZooError
from zoo.study.published.plans import Item, plan_names, read_plan, read_plans

MARKDOWN = """<style>.box { color: red }</style>
# a planner
<h2 style="margin: 0">Thoughts</h2>
### This is no item.
<h2 style="margin: 0">Ablation Plan</h2>

### Encoders
- **Ablated Part**: the encoder
- **Action**: REPLACE
- **Replacement**:
  - a larger one
  - {'width': 0.5}
- **Metrics**: SAD, angle (degrees, mean)

### No refiner
- **Ablated Part**: refiner
- **Action**: REMOVE

</div>
"""
ITEMS = [
    {
        "name": "Encoders",
        "ablated_part": "the encoder",
        "action": "REPLACE",
        "replacement": ["a larger one", {"width": 0.5}],
        "metrics": ["SAD", "angle (degrees, mean)"],
    },
    {"name": "No refiner", "ablated_part": "refiner", "action": "REMOVE", "replacement": None},
]


def test_both_formats_are_read_alike(tmp_path: Path) -> None:
    (tmp_path / "one.md").write_text(MARKDOWN)
    (tmp_path / "one.jsonl").write_text("\n".join(map(json.dumps, ITEMS)))
    items = read_plan(tmp_path / "one.md", "one")
    assert items == read_plan(tmp_path / "one.jsonl", "one")
    replacements, metrics = ("a larger one", '{"width": 0.5}'), ("SAD", "angle (degrees, mean)")
    assert items == [
        Item("one", 1, "Encoders", "the encoder", "REPLACE", replacements, metrics),
        Item("one", 2, "No refiner", "refiner", "REMOVE", (), ()),
    ]


def test_an_object_is_one_replacement(tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text(json.dumps(ITEMS[0] | {"replacement": {"width": 2}}))
    assert read_plan(tmp_path / "one.jsonl", "one")[0].replacements == ('{"width": 2}',)


def test_plans_have_different_names() -> None:
    assert plan_names([Path("plan_of_a.md")]) == ["plan_of_a"]
    assert plan_names([Path("net_a-1.md"), Path("net_b-2.md")]) == ["a-1", "b-2"]
    assert plan_names([Path("a/net.md"), Path("b/net.md")]) == ["a/net", "b/net"]
    assert plan_names([Path("net_a.md"), Path("other_a.md")]) == ["net_a", "other_a"]


def test_a_plan_given_twice_counts_once(tmp_path: Path) -> None:
    file = tmp_path / "one.md"
    file.write_text(MARKDOWN)
    assert len(read_plans([file, file])) == 2


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("Ablation Plan", "Plan", "neither JSON lines nor Markdown with the heading 'Ablation Plan'"),
        ("- **Action**: REMOVE\n", "", "line 15, has no action"),
        ("Action**: REMOVE", "Action**: remove", "line 15, has action: 'remove'; expected REPLACE, REMOVE or ADD"),
        ("  - a larger one\n  - {'width': 0.5}\n", "", "line 7, has no replacement"),
        ("**Action**: REMOVE", "**Actoin**: REMOVE", "line 17, has the field 'Actoin'; did you mean Action"),
        ("- **Action**: REMOVE", "- **Ablated Part**: x", "line 17, has the field 'Ablated Part' a second time"),
        ("### Encoders\n", "", "line 7, has the field 'Ablated Part' before any item"),
        ("- **Action**: REMOVE", "and so on", "line 17, holds 'and so on'"),
        (MARKDOWN[MARKDOWN.index("### Encoders") :], "", "has no items"),
    ],
)
def test_markdown_that_is_no_plan_names_line_and_field(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in MARKDOWN
    (tmp_path / "one.md").write_text(MARKDOWN.replace(old, new))
    with pytest.raises(ZooError, match=expected):
        read_plan(tmp_path / "one.md", "one")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"name": ', "line 2, is no JSON object"),
        ("[1]", "line 2, holds .1."),
        (json.dumps(ITEMS[1] | {"action": "DROP"}), "line 2, has action: 'DROP'"),
        (json.dumps(ITEMS[1] | {"metrics": "SAD"}), "line 2, has metrics: 'SAD'; expected a list of names"),
        (json.dumps(ITEMS[1] | {"replacement": "none"}), "line 2, has replacement: 'none'; expected a list, an object"),
        (json.dumps(ITEMS[1] | {"reason": "why not"}), "line 2, has no key 'reason'"),
        (json.dumps({"name": "x", "action": "REMOVE"}), "line 2, has no ablated_part"),
    ],
)
def test_json_that_is_no_plan_names_line_and_field(tmp_path: Path, line: str, expected: str) -> None:
    (tmp_path / "one.jsonl").write_text(f"{json.dumps(ITEMS[0])}\n{line}\n")
    with pytest.raises(ZooError, match=expected):
        read_plan(tmp_path / "one.jsonl", "one")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=r"absent\.md cannot be read: No such file"):
        read_plan(tmp_path / "absent.md", "absent")
    (tmp_path / "binary.md").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ZooError, match="not text in UTF-8"):
        read_plan(tmp_path / "binary.md", "binary")
