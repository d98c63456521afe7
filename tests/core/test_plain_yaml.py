"""YAML of any origin is bounded before it is read: in studies, catalogues, configurations and values of options."""

from pathlib import Path

import pytest

from zoo.core.plain_yaml import MAX_VALUES, read_yaml

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{level + 1}: &a{level + 1} [{f'*a{level}, ' * 9}x]\n" for level in range(30))
HOSTILE = {
    "many aliases": (BOMB, f"it holds more than {MAX_VALUES:,} values, aliases resolved"),
    "an alias in itself": ("a: &a {b: *a}", "*a contains itself"),
    "deep": ("a: " + "[" * 60 + "]" * 60, "it holds more than 50 levels"),
    "a long number": ("a: -" + "9" * 5000, "a number has 5,001 characters, expected at most 1000"),
    "no such day": ("a: 2024-13-45", "month must be in 1..12"),
    "another encoding": ("a: é", "is not text in UTF-8"),
}


@pytest.fixture(params=[name for name in HOSTILE if name != "no such day"])  # which the parser reads as text
def hostile(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A file, and what is said about it."""
    text, sentence = HOSTILE[request.param]
    file = tmp_path / "hostile.yaml"
    file.write_bytes(text.encode("latin1"))
    return file, sentence


@pytest.mark.parametrize(("text", "sentence"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_in_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "hostile.yaml").write_bytes(text.encode("latin1"))
    with pytest.raises(ValueError, match=r"hostile\.yaml is not") as caught:
        read_yaml(tmp_path / "hostile.yaml")
    assert sentence in str(caught.value)


@pytest.mark.parametrize("option", ["--config", "--model"])
def test_the_command_line_refuses_it_too(hostile: tuple[Path, str], option: str, command) -> None:
    outcome = command("fit", f"{option}={hostile[0]}")
    assert outcome.code == 2
    assert hostile[1] in outcome.complaint


def test_an_option_s_value_is_bounded_too(command) -> None:
    assert command("fit", "--model", BOMB.replace("\n", ", ")).code == 2


def test_a_model_in_a_file_of_its_own_replaces_the_model(tiny, tmp_path: Path, command) -> None:
    (tmp_path / "model.yaml").write_text("{init_args: {selector: {class_path: RandomPatches}}}")
    words = ("--config", tiny.config, "--plugin", tiny.plugin, f"--model={tmp_path / 'model.yaml'}", "--print_config")
    outcome = command("fit", *words)
    assert outcome.code == 0, outcome.err
    assert "class_path: RandomPatches" in outcome.out
    assert "class_path: TopK" not in outcome.out
