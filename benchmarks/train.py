"""Cases of training on the CPU: steps of background matting (base stage and joint stage) and of 3D heads.

A *step* is forward pass, losses, backward pass and Adam. The augmentation has a case of its own, and the last case is a
whole epoch with two workers that load and augment, per sample. Steps of matting are compared with the official network
in training, where there is a checkout, with equal weights, batch and losses: the loss must be equal, and the gradient
of the decoder's last layer. (In earlier layers, dozens of BatchNorms amplify rounding.) Dropout is off in both, since
the order of its random numbers depends on the memory format. The losses of heads are compared with the same losses that
compute a mesh for each term that reads one.
"""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
import yaml
from torch import Tensor, nn

import zoo
from benchmarks.cases import Case, Values
from benchmarks.data import (
    Epoch,
    environment,
    head_data,
    head_pictures,
    matting_data,
    pictures,
    recipe,
    write_files,
)
from benchmarks.matting_references import make_errors_follow_contours, randomise_weights
from benchmarks.train_references import Trained, losses_with_own_meshes, official_training
from zoo.core.seeding import derive_seed
from zoo.core.spec import build
from zoo.heads.data import collate as collate_heads
from zoo.heads.module import HeadAlignment
from zoo.matting.data import collate
from zoo.matting.module import BackgroundMatting
from zoo.runner.configs import shipped
from zoo.training.module import TrainingModule
from zoo.training.sampling import SampleKey

TOLERANCE = 1e-3
"""For gradients in single precision that were summed in different orders."""

WATCHED = "decoder.conv4.weight"
"""Name of the weight whose gradient is compared, in our and the official matting network."""


class Extent(NamedTuple):
    """Sizes of all cases.

    Args:
        base: side in pixels of images in the base stage.
        joint: side in pixels of images in the joint stage.
        patches: that are refined.
        batch: images in a batch.
        crop: side in pixels of crops around heads.
        heads: crops in a batch.
        steps: in an epoch.
    """

    base: int
    joint: int
    patches: int
    batch: int
    crop: int
    heads: int
    steps: int


FULL = Extent(base=256, joint=512, patches=1_250, batch=4, crop=256, heads=8, steps=4)
QUICK = Extent(base=64, joint=128, patches=1_024, batch=2, crop=64, heads=2, steps=1)


def cases(quick: bool = False, against: Path | None = None) -> Iterator[Case]:
    """Yield every case; `quick` makes them small, to see that they run.

    Args:
        against: a checkout of the official repository, whose networks are trained for comparison.
    """
    extent = QUICK if quick else FULL
    with tempfile.TemporaryDirectory() as folder, environment("ZOO_CACHE", str(Path(folder) / "cache")):
        for stage, side in (("base", extent.base), ("joint", extent.joint)):
            root = Path(folder) / stage
            root.mkdir()
            yield from matting_cases(stage, side, root, extent, against)
        yield from head_cases(extent)


def matting_cases(stage: str, side: int, root: Path, extent: Extent, against: Path | None) -> Iterator[Case]:
    """Yield the cases of a stage of the official training, with MobileNetV2."""
    write_files(root, side, different=2, copies=extent.batch * extent.steps // 2)
    data = matting_data(root, side, extent.batch, recipe())
    module = matting_module(stage, extent.patches)
    plain = None if against is None else official_training(against, module)
    loader = data.train_dataloader()
    raw = collate([loader.dataset[SampleKey(0, sample)] for sample in range(extent.batch)])
    setting = f"MobileNetV2, {side}², batch {extent.batch}"
    augment = data.augmenter(0)
    yield Case(f"{stage}, augmentation", setting, lambda: pictures(augment(raw)))
    yield from step_cases(stage, setting, module, augment(raw), plain)
    yield from epoch_case(stage, setting, Step.of(module), loader, extent.batch * extent.steps)


def head_cases(extent: Extent) -> Iterator[Case]:
    """Yield the cases of training heads, with MobileNet."""
    module = cast(
        HeadAlignment,
        zoo.create_model("dad3dnet_mobilenet", head_model="OpenHead", image_size=extent.crop, schedule="constant"),
    )
    disable_dropout(module)
    data = head_data(module, extent.heads * extent.steps, extent.heads)
    loader = data.train_dataloader()
    raw = collate_heads([loader.dataset[SampleKey(0, sample)] for sample in range(extent.heads)])
    augment = data.augmenter(0)
    batch = augment(raw)
    setting = f"MobileNet, {extent.crop}², batch {extent.heads}"
    yield Case("heads, augmentation", setting, lambda: head_pictures(augment(raw)))
    with torch.no_grad():
        output = module.network(batch.image)

    def losses(one_mesh: bool) -> Values:
        params = output.params.clone().requires_grad_()
        leaf = output._replace(params=params)
        if one_mesh:
            total = module.loss(module.compute_mesh(leaf), batch)[0]
        else:
            total = losses_with_own_meshes(module, leaf, batch)
        return total.detach(), *torch.autograd.grad(total, params)

    pair = partial(losses, True), partial(losses, False)
    yield Case("heads, losses and one mesh", setting, *pair, tolerance=TOLERANCE)
    yield from step_cases("heads", setting, module, batch, None)
    yield from epoch_case("heads", setting, Step.of(module), loader, extent.heads * extent.steps)


def step_cases(name: str, setting: str, module: TrainingModule, batch: Any, plain: Trained | None) -> Iterator[Case]:
    """Yield the forward pass, forward and backward pass, and the whole step."""
    ours = Step.of(module)
    theirs = None if plain is None else partial(Step(module, plain).whole, batch)
    yield Case(f"{name}, forward", setting, partial(ours.forward, batch))
    yield Case(f"{name}, forward and backward", setting, partial(ours.backward, batch))
    yield Case(f"{name}, step", setting, partial(ours.whole, batch), theirs, TOLERANCE)


def epoch_case(name: str, setting: str, step: "Step", loader: Any, samples: int) -> Iterator[Case]:
    """Yield a whole epoch with two workers that load and augment, per sample."""
    with Epoch(loader, step.whole, lambda last: last) as epoch:
        yield Case(f"{name}, a sample with its loading", setting, epoch, count=samples)


class Step:
    """Training steps of a network.

    Args:
        module: has the losses and the learning rate of each part.
        trained: the module's own network, or another one with the same parts.
    """

    def __init__(self, module: TrainingModule, trained: Trained) -> None:
        self.module, self.trained = module, trained
        disable_dropout(trained.network)
        self.optimizer = torch.optim.Adam(
            {"params": list(part.parameters()), "lr": module.learning_rates[name]}
            for name, part in trained.network.named_children()
            if any(True for _ in part.parameters())
        )

    @classmethod
    def of(cls, module: TrainingModule) -> "Step":
        """Return steps of the module's own network."""
        return cls(module, Trained(module.network, module.compute))

    def forward(self, batch: Any) -> Tensor:
        """Return the sum of the losses."""
        return self.module.loss(self.trained.compute(batch), batch)[0]

    def backward(self, batch: Any) -> Values:
        """Return the sum of the losses and, in matting, log length and direction of the compared gradient."""
        self.optimizer.zero_grad()
        total = self.forward(batch)
        total.backward()
        watched = dict(self.trained.network.named_parameters()).get(WATCHED)
        if watched is None:
            return (total.detach(),)
        gradient = cast(Tensor, watched.grad)
        length = gradient.norm()
        return total.detach(), length.log(), gradient / length

    def whole(self, batch: Any) -> Values:
        """Run `backward`, let Adam update the weights, and return the result of `backward`."""
        result = self.backward(batch)
        self.optimizer.step()
        return result


def disable_dropout(network: nn.Module) -> None:
    """Set every dropout probability to 0."""
    for part in network.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0


def matting_module(stage: str, patches: int) -> BackgroundMatting:
    """Return the module of a shipped configuration with MobileNetV2 and random weights."""
    spec = yaml.safe_load(shipped(f"matting/{stage}").read_text(encoding="utf-8"))["model"]
    spec["init_args"]["backbone"] |= {"init_args": {"name": "mobilenetv2_100", "output_stride": 16}}
    module = cast(BackgroundMatting, build(spec))
    if module.network.refiner.refines:
        module.network.selector.patches = patches
    randomise_weights(module.network, torch.Generator().manual_seed(derive_seed("zoo bench train", stage)))
    make_errors_follow_contours(module.network)
    return module
