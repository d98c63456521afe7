# ruff: noqa: E501
"""Contracts can fail: for each promise, a part that breaks it and the sentence that says so."""

import gc
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from zoo_plugins.augmentations.geometry import HorizontalFlip
from zoo_plugins.augmentations.heads import HeadFlip
from zoo_plugins.backbones import TimmBackbone
from zoo_plugins.engines.local import Local
from zoo_plugins.error_maps import BackgroundDifference, PredictedError
from zoo_plugins.fusions import ConcatFusion
from zoo_plugins.guides import MaskGuide, PersonGuide
from zoo_plugins.head_models import ProceduralHead
from zoo_plugins.landmark_branches import PointLandmarks
from zoo_plugins.losses.heads import LandmarkL1
from zoo_plugins.losses.matting import AlphaL1, ErrorMSE, ForegroundL1
from zoo_plugins.refiners import NoRefiner, PatchRefiner
from zoo_plugins.selectors import RandomPatches, TopK

import zoo.testing
from zoo.core.parts import Backbone
from zoo.heads.parts import HeadPicture
from zoo.matting.data import EvaluationSet, MattingData, TrainingStage
from zoo.matting.module import BackgroundMatting
from zoo.matting.parts import Matte, MattingDataset, PatchSelector
from zoo.testing import (
    BackboneContract,
    CatalogueContract,
    DataModuleContract,
    EngineContract,
    ErrorMapContract,
    FusionContract,
    GuideContract,
    HeadAugmentationContract,
    HeadDatasetContract,
    HeadLossContract,
    HeadModelContract,
    LandmarkBranchContract,
    MattingAugmentationContract,
    MattingDatasetContract,
    MattingLossContract,
    ModuleContract,
    RefinerContract,
    SelectorContract,
)
from zoo.training.data import DataModule


def changed(cls: Any, **members: Any) -> Any:
    """A subclass with some members replaced."""
    return type(f"Bad{cls.__name__}", (cls,), members)


def after(cls: Any, method: str, change: Callable[..., Any]) -> Any:
    """A subclass whose method gives something else: `change(self, result, *arguments)`."""
    original = getattr(cls, method)

    def replaced(self: Any, *arguments: Any, **named: Any) -> Any:
        return change(self, original(self, *arguments, **named), *arguments)

    return changed(cls, **{method: replaced})


class Mirrored(HeadDatasetContract):
    """Stands in for a dataset whose rotations are mirror images."""

    def make(self) -> Any:
        return None

    def prepare(self) -> Any:
        vertices = 5023
        mirror = torch.diag(torch.tensor([-1.0, 1, 1]))
        picture = HeadPicture(torch.rand(3, 8, 8), torch.ones(4), torch.zeros(vertices, 3), torch.zeros(vertices, 2),
                              mirror, {}, "one")  # fmt: skip
        return type("Mirrored", (), {"__len__": lambda _: 1, "picture": lambda *_: picture, "gives_neutral": False})()


def spoilt_in_place(self: Any, batch: Any, draws: Any) -> Any:
    return batch._replace(foreground=batch.foreground.mul_(0.5))


class Noisy(MattingDataset):
    """RandomStream from torch's global stream."""

    def __len__(self) -> int:
        return 3

    def matte(self, index: int) -> Matte:
        return Matte(2 * torch.rand(3, 8, 8), torch.rand(1, 8, 8), "always the same")

    @property
    def background_count(self) -> int:
        return 1

    def background(self, index: int) -> Tensor:
        return torch.rand(3, 8, 8)


class Calm(Noisy):
    """The same in the range of pictures."""

    def matte(self, index: int) -> Matte:
        return Matte(torch.rand(3, 8, 8), torch.rand(1, 8, 8), "always the same")


class Number(NamedTuple):
    """A batch of one."""

    value: Tensor


class OfMatting(ModuleContract):
    """Trains on random pictures."""

    def data(self) -> MattingData:
        pictures = Calm()
        evaluated = EvaluationSet(pictures, canvas=64)
        return MattingData(
            {"one": TrainingStage(pictures, canvas=64)}, {}, evaluated, {"one": evaluated}, batch_size=2, workers=0
        )


def matting(**members: Any) -> Callable[[], Any]:
    """Makes a small matting module with some of its class's members replaced."""

    def make() -> Any:
        network = (TimmBackbone("test_efficientnet"), PredictedError(), TopK(5), PatchRefiner())
        rates = dict.fromkeys(("backbone", "aspp", "decoder", "refiner"), 1e-3)
        losses = {"alpha": AlphaL1(), "foreground": ForegroundL1(), "error": ErrorMSE()}
        return changed(BackgroundMatting, **members)(*network, losses, rates, base_scale=0.5)

    return make


def promises() -> dict[str, tuple[Any, Callable[[], Any], str, str]]:
    """By promise: its contract, what makes a part that breaks it, the test that fails, and what that says.

    The broken parts live no longer than a test: the command line's parser looks at every subclass there is.
    """

    class Packed(PatchSelector):
        def __init__(self, *rows: int) -> None:
            super().__init__()

        def forward(self, error: Tensor) -> Tensor:
            return error

    class Untyped(PatchSelector):
        def __init__(self, rows=2) -> None:  # type: ignore[no-untyped-def]
            super().__init__()

        def forward(self, error: Tensor) -> Tensor:
            return error

    class Learnt(PatchSelector):
        """A selector with weights, which can be broken in more ways."""

        def __init__(self) -> None:
            super().__init__()
            self.uses_error = True
            self.scale = nn.Parameter(torch.rand(1))
            self.unused = nn.Parameter(torch.rand(1))

        def forward(self, error: Tensor) -> Tensor:
            return error * self.scale

    class Unseeded(PatchSelector):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor([float.fromhex(os.urandom(4).hex())]))

        def forward(self, error: Tensor) -> Tensor:
            return error * self.scale

    class Remembers(Learnt):
        """Keeps something that is in no state dict."""

        def __init__(self) -> None:
            super().__init__()
            self.shift = torch.rand(1)

        def forward(self, error: Tensor) -> Tensor:
            return error * self.scale + self.shift

    class Coarsest(Backbone):
        """Gives every map at the size of the coarsest one, and knows no limits."""

        def build(self, in_channels: int, strides: Any) -> None:
            self.strides, self.channels = list(strides), [in_channels] * len(strides)

        def forward(self, image: Tensor) -> list[Tensor]:
            return [image[..., :: self.strides[-1], :: self.strides[-1]] for _ in self.strides]

    class Numbers(DataModule):
        """Six batches an epoch, always the same; an epoch that was cut begins anew."""

        def __init__(self, workers: int = 0) -> None:
            super().__init__()
            self.workers = workers

        def train_dataloader(self) -> Any:
            return DataLoader(self.numbers(), batch_size=None)

        def val_dataloader(self) -> Any:
            return self.train_dataloader()

        def test_dataloader(self) -> Any:
            return self.train_dataloader()

        def numbers(self) -> list[Any]:
            return [Number(torch.tensor([float(number)])) for number in range(6)]

    return {
        "registered": (SelectorContract, Learnt, "is_registered_under_the_name_of_its_class", "add the entry point Learnt ="),
        "spec": (SelectorContract, changed(TopK, spec=property(lambda self: {"class_path": "TopK", "init_args": {"patches": 1}})), "is_rebuilt_from_its_spec", "rebuilds it"),
        "no packed arguments": (SelectorContract, Packed, "arguments_are_explicit_and_typed", "names each of its arguments; got *rows"),
        "typed arguments": (SelectorContract, Untyped, "arguments_are_explicit_and_typed", "'rows' has none"),
        "pickle": (SelectorContract, changed(TopK, __getstate__=lambda self: {}), "survives_pickle_and_deepcopy", ""),
        "same weights": (SelectorContract, Unseeded, "same_seed_same_weights", "is initialised alike under one seed; scale differs"),
        "state dict": (SelectorContract, Remembers, "weights_are_saved_and_loaded", "computes from its weights; it differs"),
        "evaluation": (SelectorContract, after(TopK, "forward", lambda self, score, error: score + torch.rand_like(score)), "evaluation_changes_nothing", "gives the same again in evaluation"),
        "in place": (SelectorContract, after(TopK, "forward", lambda self, score, error: error.mul_(1.5).clone()), "evaluation_changes_nothing", "leaves its inputs as they are"),
        "neighbours": (SelectorContract, after(TopK, "forward", lambda self, score, error: score - error.mean()), "an_image_does_not_depend_on_its_neighbours", "as if it were alone"),
        "gradient": (SelectorContract, Learnt, "every_parameter_gets_a_gradient", "['unused'] got none"),
        "draws": (SelectorContract, after(RandomPatches, "forward", lambda self, score, error: score + int.from_bytes(os.urandom(4)) / 2**32), "training_draws_follow_the_seed", "draws alike in training"),
        "export": (SelectorContract, after(TopK, "forward", lambda self, score, error: torch.tensor(score.tolist())), "can_be_exported", ""),
        "score's shape": (SelectorContract, after(TopK, "forward", lambda self, score, error: score[..., :1]), "a_score_for_every_patch_of_any_grid", "has the shape of the error map"),
        "floats": (SelectorContract, after(TopK, "forward", lambda self, score, error: score > 0.5), "any_precision_will_do", "scores an error map of torch.float32; got torch.bool"),
        "patches": (SelectorContract, lambda: TopK(3.5), "patches_is_a_number_or_none", "or None for all; got 3.5"),  # type: ignore[arg-type]
        "uses_error": (SelectorContract, changed(TopK, uses_error=False), "says_whether_it_looks_at_the_error", "uses_error says whether"),
        "not negative": (ErrorMapContract, after(PredictedError, "forward", lambda self, error, *_: error - 1), "a_map_for_images_of_any_size", "is never negative"),
        "one channel": (ErrorMapContract, after(PredictedError, "forward", lambda self, error, *_: error[:, 0]), "a_map_for_images_of_any_size", "gives a map (B, 1, h, w)"),
        "informative": (ErrorMapContract, changed(PredictedError, informative=False), "says_whether_it_knows_anything", "informative says whether"),
        "refuses training": (ErrorMapContract, changed(PredictedError, needs_target=True), "what_needs_the_true_alpha_refuses_training_and_its_absence", "refuses training with a ValueError"),
        "mask in range": (GuideContract, after(MaskGuide, "forward", lambda self, mask, *_: 2 * mask), "a_mask_for_images_of_any_size", "mask lies in [0, 1]"),
        "needed hint": (GuideContract, changed(PersonGuide, needs_hint=True), "what_needs_a_hint_refuses_its_absence", "needs a hint, so it refuses its absence"),
        "saved guide": (GuideContract, after(MaskGuide, "__init__", lambda self, *_: setattr(self, "scale", torch.nn.Parameter(torch.ones(1)))), "keeps_nothing_in_checkpoints", "is not trained and saves nothing"),
        "silent background": (ErrorMapContract, changed(BackgroundDifference, needs_background=False), "says_whether_it_needs_the_background", "does without a background"),
        "refined cells": (RefinerContract, after(PatchRefiner, "forward", lambda self, result, *_: (*result[:2], torch.ones_like(result[2]))), "refines_the_highest_scores_above_zero_and_no_others", "refines the patches whose score is above 0"),
        "alpha alone": (RefinerContract, after(PatchRefiner, "alpha", lambda self, result, *_: (result[0] + 1, result[1])), "alpha_alone_is_the_alpha_that_it_gives", "the same alpha and refined patches alone; it differs by up to 1"),
        "refined size": (RefinerContract, after(NoRefiner, "forward", lambda self, result, *_: (result[0][..., :-1], *result[1:])), "results_for_images_of_any_size", "gives alpha at the size of the source"),
        "DDP": (RefinerContract, changed(PatchRefiner, _train=lambda self, *given: (given[-1] + 0 * self.conv4.bias[0], torch.zeros_like(given[3]))), "every_parameter_gets_a_gradient_when_no_patch_is_selected", "as DDP needs it"),
        "feature sizes": (BackboneContract, Coarsest, "features_of_images_of_any_size", "map at stride 2"),
        "refused strides": (BackboneContract, Coarsest, "strides_that_it_lacks_are_refused", "refuses strides that it has no features at"),
        "goes on": (BackboneContract, lambda: after(TimmBackbone, "last_stage", lambda self, last, *_: 2 * last)("test_efficientnet"), "stops_on_the_way_and_goes_on", "last_stage goes on to the last"),
        "merged shape": (FusionContract, lambda: after(ConcatFusion, "merge", lambda self, merged, *_: merged[..., :1])(channels=4), "a_pyramid_and_merged_features_of_crops_of_any_size", "gives features of c4's shape"),
        "heatmaps matter": (FusionContract, lambda: after(ConcatFusion, "merge", lambda self, merged, c4, *_: c4 * 2)(channels=4), "gradients_reach_features_and_heatmaps", "heatmaps too; no gradient came there"),
        "announced heatmaps": (LandmarkBranchContract, changed(PointLandmarks, heatmap_count=68), "finds_what_it_says", "says that it gives heatmaps"),
        "mesh at rest": (HeadModelContract, after(ProceduralHead, "vertices", lambda self, vertices, *_: vertices + 0.01), "without_parameters_it_is_the_template", "is its template, at its offset"),
        "hidden reading": (MattingLossContract, after(AlphaL1, "forward", lambda self, value, output, batch: value + output.error.mean()), "reads_nothing_else", "reads only ['alpha'] and ['alpha']"),
        "known fields": (MattingLossContract, changed(AlphaL1, reads=property(lambda self: frozenset({"alfa"}))), "says_what_it_reads", "is a frozenset of fields of MattingOutput"),
        "scalar": (MattingLossContract, after(AlphaL1, "forward", lambda self, value, *_: value[None]), "a_finite_scalar_for_images_of_any_size", "gives a scalar; got shape (1,)"),
        "unweighted": (MattingLossContract, after(AlphaL1, "forward", lambda self, value, *_: value * self.weight), "the_weight_is_left_to_the_training_module", "without the weight"),
        "trains": (MattingLossContract, after(AlphaL1, "forward", lambda self, value, *_: value.detach()), "what_it_reads_is_trained", "is differentiable"),
        "finite gradient": (MattingLossContract, after(AlphaL1, "forward", lambda self, value, output, batch: (output.alpha - batch.alpha).square().mean().sqrt()), "gradients_are_finite_where_nothing_is_wrong", "gradient of alpha is finite"),
        "heads' gradient": (HeadLossContract, after(LandmarkL1, "forward", lambda self, value, *_: value.sqrt()), "gradients_are_finite_where_nothing_is_wrong", "gradient of landmarks is finite"),
        "augments in place": (MattingAugmentationContract, lambda: changed(HorizontalFlip, forward=spoilt_in_place)("foreground"), "changes_nothing_in_place", "changes nothing in place, but foreground did"),
        "own fate": (MattingAugmentationContract, lambda: after(HorizontalFlip, "forward", lambda self, batch, *_: batch._replace(alpha=batch.alpha / batch.alpha.max()))("foreground"), "a_sample_s_fate_is_its_own", "in whatever batch it is (alpha)"),
        "own draws": (MattingAugmentationContract, lambda: after(HorizontalFlip, "forward", lambda self, batch, *_: batch._replace(alpha=torch.rand_like(batch.alpha)))("foreground"), "the_draws_decide_and_nothing_else", "never from a global stream (alpha)"),
        "phase": (MattingAugmentationContract, lambda: changed(HorizontalFlip, phase="later")("foreground"), "says_when_it_runs", "got 'later'"),
        "range": (MattingAugmentationContract, lambda: after(HorizontalFlip, "forward", lambda self, batch, *_: batch._replace(alpha=batch.alpha + 1))("foreground"), "images_of_any_size_keep_size_and_range", "keeps alpha in [0, 1]"),
        "belong together": (HeadAugmentationContract, lambda: after(HeadFlip, "forward", lambda self, batch, *_: batch._replace(rotation=batch.rotation.mT))(probability=1), "vertices_rotation_and_places_still_belong_together", "changes vertices, rotation and their places"),
        "same sample": (MattingDatasetContract, Noisy, "a_sample_is_the_same_whenever_it_is_asked_for", "gives the same for an index"),
        "global streams": (MattingDatasetContract, Noisy, "asking_leaves_global_streams_alone", "never from torch's global one"),
        "picture's range": (MattingDatasetContract, Noisy, "mattes", "lies in [0, 1]"),
        "fingerprints": (MattingDatasetContract, changed(Noisy, fingerprint=lambda self, index: "one file"), "fingerprints", "tells one sample from another"),
        "backgrounds": (MattingDatasetContract, changed(Noisy, background_count=0), "backgrounds", "has at least one background; got 0"),
        "records": (DataModuleContract, changed(Numbers, numbers=lambda self: [torch.zeros(1)] * 6), "batches_are_records_of_finite_tensors", "gives batches as a NamedTuple"),
        "finite batches": (DataModuleContract, changed(Numbers, numbers=lambda self: [Number(torch.full((1,), float("nan")))] * 6), "batches_are_records_of_finite_tensors", "gives finite numbers in value"),
        "same batches": (DataModuleContract, changed(Numbers, numbers=lambda self: [Number(torch.tensor([float(byte)])) for byte in os.urandom(64)]), "training_batches_follow_from_the_seed", "trains on the same batches under one seed"),
        "resumed epoch": (DataModuleContract, Numbers, "a_run_that_was_cut_goes_on_with_the_next_batch", "goes on with the next batch"),
        "same measurements": (DataModuleContract, changed(Numbers, numbers=lambda self: [Number(torch.rand(1)) for _ in range(6)]), "evaluation_is_the_same_in_every_run", "measures on the same batches whatever the seed, in validate"),
        "idle parameter": (OfMatting, matting(on_fit_start=lambda self: self.network.register_parameter("idle", nn.Parameter(torch.zeros(1)))), "every_parameter_is_trained", "['idle'] got none"),
        "one learning rate": (OfMatting, matting(configure_optimizers=lambda self: torch.optim.Adam(self.network.decoder.parameters())), "every_parameter_has_one_learning_rate", "not so ['backbone."),
        "monitor": (OfMatting, matting(monitor="validation/nothing"), "logs_what_it_names_and_chooses_checkpoints_by", "validation/nothing is none of"),
        "metric names": (OfMatting, matting(metric_names=lambda self, data: {"test/one/nothing"}), "logs_what_it_names_and_chooses_checkpoints_by", "['test/one/nothing'] were not"),
        "example": (OfMatting, matting(forward=lambda self, *given: (found := self.network(*given))._replace(alpha=1 - found.alpha)), "computes_its_example", "computes what its network does (alpha)"),
        "every run": (EngineContract, changed(Local, execute=lambda self, tasks: None), "carries_out_every_run_in_an_order_that_serves", "ended without a result"),
        "order": (EngineContract, changed(Local, execute=lambda self, tasks: Local.execute(self, tasks[::-1])), "carries_out_every_run_in_an_order_that_serves", "before those it waits for"),
    }  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def nothing_is_left() -> Iterator[None]:
    """Classes die in cycles."""
    yield
    gc.collect()


@pytest.mark.parametrize("promise", list(promises()))
def test_a_broken_promise_is_named(promise: str) -> None:
    contract, make, test, sentence = promises()[promise]
    subject = type("Subject", (contract,), {"make": lambda self: make()})()
    # What cannot be copied or exported at all fails with the error of pickle or torch.
    with pytest.raises(AssertionError if sentence else Exception, match=re.escape(sentence) or None):
        getattr(subject, f"test_{test}")()


WEIGHTS = {"source": "https://example.org/a.pth", "model": "bgmv2_resnet50"}


@pytest.mark.parametrize(
    ("entries", "test", "sentence"),
    [
        ({}, "has_entries", "the catalogue lab has at least one entry."),
        ("a: [", "has_entries", "the catalogue lab can be read: "),
        ({"mine-a": WEIGHTS | {"sha256": "ABC"}}, "has_entries", "expected 64 hexadecimal digits"),
        ({"bgmv2_resnet50-mine": WEIGHTS | {"default": True}}, "each_name_stands_for_one_thing", "'bgmv2_resnet50' stands for one thing; it stands for "),
        ({"mine-a": WEIGHTS | {"training_data": " "}}, "says_whose_the_weights_are_and_what_they_saw", "mine-a says training_data; got ' '"),
        ({"mine-a": WEIGHTS | {"licence": {"name": "MIT", "non_commercial": False, "url": "MIT"}}}, "says_whose_the_weights_are_and_what_they_saw", "has the address of its text; got 'MIT'"),
        ({"mine-a": WEIGHTS | {"arguments": {"scale": 1}}}, "models_are_there_and_take_the_arguments", "bgmv2_resnet50 has no argument 'scale'"),
        ({"mine-a": WEIGHTS | {"model": "bgmv3"}}, "models_are_there_and_take_the_arguments", "no model named 'bgmv3'"),
        ({"mine-a": WEIGHTS | {"default": True}}, "default_weights_are_those_of_their_model", "are the default weights of mine, as their name says"),
        ({"mine-a": WEIGHTS | {"metrics": [{"data": "AIM", "preset": "bgmv2", "source": "me", "values": {"sad": float("nan")}}]}}, "metrics_are_numbers", "mine-a's sad on AIM is a number; got nan"),
        ({"mine-a": WEIGHTS | {"source": "package://lab_weights/missing.pth", "sha256": "0" * 64}}, "files_that_are_here_are_what_it_says", "missing.pth; there is no such file"),
        ({"mine-a": WEIGHTS | {"source": "package://lab_weights/__init__.py", "sha256": "0" * 64}}, "files_that_are_here_are_what_it_says", "is what the catalogue says of mine-a; it has sha256"),
    ],
)  # fmt: skip
def test_a_broken_catalogue_is_named(catalogue: Callable[..., None], entries: Any, test: str, sentence: str) -> None:
    catalogue(entries)
    subject = type("Subject", (CatalogueContract,), {"name": "lab"})()
    with pytest.raises(AssertionError, match=re.escape(sentence)):
        getattr(subject, f"test_{test}")()


def test_rotations_are_no_mirror_images() -> None:
    with pytest.raises(AssertionError, match=r"is a rotation, no mirror image\."):
        Mirrored().test_pictures()


def test_contracts_need_no_pytest() -> None:
    files = list(Path(zoo.testing.__file__).parent.glob("*.py"))
    assert len(files) > 10
    assert not [file for file in files if re.search(r"^ *(import|from) pytest", file.read_text(), re.MULTILINE)]
