"""`zoo completion`: what bash offers after TAB."""

import subprocess

import pytest

COMPLETE = """
source /dev/stdin <<'SCRIPT'
{script}
SCRIPT
COMP_WORDS=(zoo {words}) COMP_CWORD={count} COMP_LINE="zoo {words}" COMP_POINT=${{#COMP_LINE}}
function=$(complete -p zoo | sed 's/.*-F \\([^ ]*\\).*/\\1/')
$function zoo "${{COMP_WORDS[COMP_CWORD]}}"
echo "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def script() -> str:
    import zoo.cli

    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("builtins.print", lambda text: lines.append(text))
        assert zoo.cli.main(["completion", "bash"]) == 0
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("stu", "study"),
        ("study pl", "plan"),
        ("study plan studies/bgmv2_ref", "studies/bgmv2_refinement"),
        ("fit --conf", "--config"),
        ("fit --config matting/qui", "matting/quickstart"),
        ("fit --trainer.max", "--trainer.max_epochs"),
        ("show TopK", "TopK"),
        ("list selec", "selectors"),
        ("pull bgmv2_resnet101-", "bgmv2_resnet101-official"),
        ("matte a.png b.png --sav", "--save"),
    ],
)
def test_bash_completes(script: str, words: str, expected: str) -> None:
    text = COMPLETE.format(script=script, words=words, count=len(words.split()))
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [expected], done.stderr


def test_zsh_has_a_script_of_its_own(command) -> None:
    outcome = command("completion", "zsh")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("#compdef zoo")
