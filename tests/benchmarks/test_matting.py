"""What is measured of matting: fast paths equal what they are beside, and official code leaves nothing behind."""

import sys
from pathlib import Path

import pytest
import torch

from benchmarks import matting
from benchmarks.cases import Case, Values, difference
from benchmarks.matting_references import check_checkout, checkout_digest, load_package, official_matting

Results = dict[str, tuple[Case, Values, Values]]

STAND_IN = '''
"""Takes the names and shapes of the weights that it is given, as the official code has them."""

from .layers import Twice


class MattingRefine:
    def __init__(self, backbone, backbone_scale, refine_mode, refine_sample_pixels):
        self.asked = (backbone, backbone_scale, refine_mode, refine_sample_pixels)
        self.training = True

    def state_dict(self):
        return dict.fromkeys(["backbone.features.0.0.weight", "decoder.conv4.bias"])

    def load_state_dict(self, state):
        self.state = state

    def eval(self):
        self.training = False
        return self

    def requires_grad_(self, flag):
        self.twice = Twice()
        return self
'''


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    package = tmp_path / "BackgroundMattingV2" / "model"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(STAND_IN)
    (package / "layers.py").write_text("class Twice:\n    pass\n")
    return package.parent


@pytest.fixture(scope="module")
def results() -> Results:
    """Of each small case with a reference: both results."""
    found = {}
    for case in matting.cases(quick=True):
        if case.plain is not None:
            found[f"{case.name}, {case.setting}"] = case, case.fast(), case.plain()
    return found


def test_fast_paths_equal_their_references(results: Results) -> None:
    far = {name: difference(fast, plain) for name, (case, fast, plain) in results.items()}
    assert {name: far[name] for name, (case, *_) in results.items() if far[name] > case.tolerance} == {}


def test_results_are_worth_comparing(results: Results) -> None:
    """Alpha is neither 0 nor 1 nor alike everywhere, and patches make a difference to it."""
    networks = [values[1] for name, values in results.items() if name.startswith(("MobileNetV2, HD", "ResNet-50"))]
    assert networks
    for output in networks:
        assert isinstance(output, tuple)
        alpha = torch.as_tensor(output[0])
        assert alpha.std() > 0.02
        assert ((alpha > 0) & (alpha < 1)).double().mean() > 0.2


def test_about_as_many_patches_as_asked_are_refined_at_contours() -> None:
    wanted = matting.smaller(matting.SETTINGS[2])
    network, setting = matting.matting_network(wanted)
    source, background = matting.pictures(wanted.size)
    assert abs(setting.patches - wanted.patches) <= 0.011 * wanted.patches + 1
    with torch.no_grad():
        output = network(source, background)
    assert output.refined.sum() == setting.patches
    assert output.error.max() < 1  # none alike, so that it is clear which are the largest


def test_scores_are_above_zero_for_the_share_that_was_asked_for() -> None:
    for close in (True, False):
        for share in matting.DENSITIES:
            score = matting.random_score((400, 640), share, close)
            assert ((score > 0).double().mean() - share).abs() < 1e-3


def test_official_weights_are_ours_under_their_names(checkout: Path) -> None:
    network, _ = matting.matting_network(matting.smaller(matting.SETTINGS[0]))
    official = official_matting(checkout, "mobilenetv2", network, 4, 50)
    assert official.asked == ("mobilenetv2", 0.25, "sampling", 800)
    assert not official.training
    ours = network.state_dict()
    assert torch.equal(official.state["decoder.conv4.bias"], ours["decoder.conv4.bias"])
    assert torch.equal(official.state["backbone.features.0.0.weight"], ours["backbone.model.conv_stem.weight"])


def test_official_code_leaves_nothing_behind(checkout: Path) -> None:
    before, path = set(sys.modules), list(sys.path)
    package = load_package(checkout)
    assert package.MattingRefine.__name__ == "MattingRefine"
    assert set(sys.modules) == before
    assert sys.path == path
    assert sorted(file.name for file in (checkout / "model").iterdir()) == ["__init__.py", "layers.py"]
    (checkout / "model" / "layers.py").write_text("raise RuntimeError('broken')\n")
    with pytest.raises(RuntimeError, match="broken"):
        load_package(checkout)
    assert set(sys.modules) == before


def test_a_checkout_is_known_by_its_code(checkout: Path, tmp_path: Path) -> None:
    before = checkout_digest(checkout)
    assert checkout_digest(checkout) == before
    (checkout / "model" / "layers.py").write_text("class Twice:\n    slow = True\n")
    assert checkout_digest(checkout) != before
    with pytest.raises(ValueError, match=r"--against .*: expected a checkout of the official BackgroundMattingV2"):
        check_checkout(tmp_path)
