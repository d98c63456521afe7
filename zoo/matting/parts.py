"""The slots of background matting, and the records that flow through it.

The *base* network reads the source, the captured background and a *guide*, a rough mask of the foreground, at a reduced
size (`base_scale`); background and guide may be absent. It returns a *coarse* result with an error channel; a *context*
stands between its backbone and its decoder. An *error map* estimates where
the coarse alpha is wrong, a *patch selector* scores the 4×4-pixel cells ("patches") by it, and a *refiner* recomputes
the selected cells at full size. Data flows one way: batch → network → `MattingOutput`.
"""

from abc import abstractmethod
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.core.parts import Augmentation, SampleSource
from zoo.core.seeding import RandomStream
from zoo.core.spec import Part

PATCH = 4
"""Side of a patch in pixels of the full-size image."""


class Coarse(NamedTuple):
    """The output of the base network, all at (Hc, Wc).

    Example:
        >>> Coarse(*(torch.rand(1, channels, 2, 2) for channels in (1, 3, 1, 32))).hidden.shape
        torch.Size([1, 32, 2, 2])
    """

    alpha: Tensor
    """(B, 1, Hc, Wc) in [0, 1]."""
    foreground: Tensor
    """(B, 3, Hc, Wc), not clamped: the residual foreground − source, or the foreground itself."""
    error: Tensor
    """(B, 1, Hc, Wc) in [0, 1], the decoder's own estimate of its alpha's error."""
    hidden: Tensor
    """(B, 32, Hc, Wc) features for the refiner."""


class MattingOutput(NamedTuple):
    """The output of the network; H, W are those of the source.

    Example:
        >>> MattingOutput._fields
        ('alpha', 'foreground', 'coarse_alpha', 'coarse_foreground', 'error', 'refined')
    """

    alpha: Tensor
    """(B, 1, H, W) in [0, 1]."""
    foreground: Tensor
    """(B, 3, H, W) in [0, 1], straight, not premultiplied."""
    coarse_alpha: Tensor
    """(B, 1, Hc, Wc) in [0, 1]."""
    coarse_foreground: Tensor
    """(B, 3, Hc, Wc) in [0, 1]."""
    error: Tensor
    """(B, 1, Hc, Wc) in [0, 1], the decoder's own error channel, whatever map drove the selection."""
    refined: Tensor
    """(B, 1, ⌈H/4⌉, ⌈W/4⌉), 1 where a patch was refined, otherwise 0."""


class MattingBatch(NamedTuple):
    """A batch of the data module: float RGB in [0, 1], NCHW.

    Example:
        >>> image, alpha = torch.rand(1, 3, 8, 8), torch.rand(1, 1, 8, 8)
        >>> MattingBatch(source=image, background=image, alpha=alpha, foreground=image).trimap is None
        True
    """

    source: Tensor
    """(B, 3, H, W), the image to matte."""
    background: Tensor
    """(B, 3, H, W), the captured background: the scene without the foreground."""
    alpha: Tensor
    """(B, 1, H, W)."""
    foreground: Tensor
    """(B, 3, H, W) straight, not premultiplied; only meaningful where alpha > 0. NaN where it is not known, in
    validation and test."""
    trimap: Tensor | None = None
    """(B, 1, H, W): 0 background, 0.5 unknown, 1 foreground."""
    name: list[str] | None = None
    """One name a sample."""
    seed: Tensor | None = None
    """(B,) integers: seeds of the samples' random streams."""
    hint: Tensor | None = None
    """(B, 1, H, W) in [0, 1], a rough mask of the foreground for the network's guide: 0 background, 1 foreground, 0.5
    unknown."""


class Matte(NamedTuple):
    """A cut-out of a dataset; tensors are float in [0, 1] or uint8.

    Example:
        >>> Matte(torch.rand(3, 8, 8), torch.rand(1, 8, 8), "person").name
        'person'
    """

    foreground: Tensor
    """(3, H, W) straight, not premultiplied."""
    alpha: Tensor
    """(1, H, W)."""
    name: str


class MattingDataset(SampleSource):
    """A list of cut-outs and a list of backgrounds.

    The data module pairs them: anew in each epoch of training, always alike in validation and test. Both methods return
    the same tensors whenever they are called with the same index.

    Example:
        >>> class Grey(MattingDataset):
        ...     background_count, __len__ = 1, lambda self: 1
        ...     def matte(self, index): return Matte(torch.ones(3, 8, 8), torch.ones(1, 8, 8), "grey")
        ...     def background(self, index): return torch.full((3, 8, 8), 0.5)
        >>> Grey().matte(0).name
        'grey'
    """

    finished: bool = False
    """Whether the mattes' foregrounds are finished photographs, which are measured as they are: their own foreground is
    not known, background number i is what was captured for matte number i, and there may be none."""
    background_side: int | None = None
    """Pixels that the shorter side of a background needs, where that is known, as in training: a dataset may return
    smaller backgrounds then, if it reads them faster."""

    @abstractmethod
    def matte(self, index: int) -> Matte:
        """Return cut-out number `index`, 0 ≤ index < len(self), at its own size."""

    def fingerprint(self, index: int) -> str | None:
        """Return a text that changes when the file of cut-out number `index` does, None where it comes from no file.

        Cut-outs that have one can be cached on disk as they lie on a canvas.
        """
        return None

    @property
    @abstractmethod
    def background_count(self) -> int:
        """The number of backgrounds, at least 1."""

    @abstractmethod
    def background(self, index: int) -> Tensor:
        """Return background number `index`, 0 ≤ index < background_count: (3, H, W) of any size, float in [0, 1] or
        uint8.
        """


class MattingAugmentation(Augmentation):
    """One random change of a `MattingBatch`.

    `phase` says when it runs: `canvas` before the crop, `scene` after it and before foreground and background are
    composited, `captured` on the images that the cameras captured.

    Example:
        >>> class Darken(MattingAugmentation):
        ...     phase = "captured"
        ...     def forward(self, batch, random):
        ...         return batch._replace(source=batch.source * random.uniform(0.5, 1).view(-1, 1, 1, 1))
        >>> Darken().phase
        'captured'
    """

    phase: Literal["canvas", "scene", "captured"]

    @abstractmethod
    def forward(self, batch: MattingBatch, random: RandomStream) -> Any:
        """Return the changed batch; tensors of the batch are not changed in place."""


class Context(Part, nn.Module):
    """Enlarges the receptive field of the backbone's coarsest features, between backbone and decoder.

    Example:
        >>> class Unchanged(Context):
        ...     def build(self, in_channels): self.channels = in_channels
        ...     def forward(self, features): return features
        >>> context = Unchanged()
        >>> context.build(8)
        >>> context.channels
        8
    """

    channels: int
    """Channels of the result, known after `build`."""

    @abstractmethod
    def build(self, in_channels: int) -> None:
        """Create the layers for features of this many channels, and set `channels`."""

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """Return (B, channels, h, w) of features (B, in_channels, h, w)."""


class Guide(Part, nn.Module):
    """Says roughly where the foreground is, as one more channel of the base network's input.

    `channels` is 0 for a guide that returns None. `needs_hint` is True for one that returns nothing without a hint.
    Guides are not trained and keep nothing in checkpoints: networks that differ in their guides share their weights.

    Example:
        >>> class Bright(Guide):
        ...     def forward(self, source, hint=None): return source.mean(1, keepdim=True) if hint is None else hint
        >>> Bright().channels, Bright()(torch.ones(1, 3, 2, 2)).shape
        (1, torch.Size([1, 1, 2, 2]))
    """

    channels = 1
    needs_hint = False

    @abstractmethod
    def forward(self, source: Tensor, hint: Tensor | None = None) -> Tensor | None:
        """Return a mask (B, 1, h, w) in [0, 1] of any size; the network resizes it to the base network's input.

        Args:
            source: (B, 3, H, W) in [0, 1], full size.
            hint: (B, 1, H, W) in [0, 1], where one is given: from the user, or from the data module.

        Raises:
            ValueError: there is no hint, and the guide needs one.
        """


class ErrorMap(Part, nn.Module):
    """Estimates where the coarse result is wrong.

    `informative` is False for a map that ranks nothing; selectors that rank by error refuse it. `needs_target` is True
    for a map that reads the true alpha; it refuses training. `needs_background` is True for one that reads the captured
    background, which some networks do without.

    Example:
        >>> class Undecided(ErrorMap):
        ...     def forward(self, coarse, source, background, target=None): return coarse.alpha
        >>> Undecided().informative, Undecided().needs_target
        (True, False)
    """

    informative = True
    needs_target = False
    needs_background = False

    @abstractmethod
    def forward(
        self, coarse: Coarse, source: Tensor, background: Tensor | None, target: Tensor | None = None
    ) -> Tensor:
        """Return a map (B, 1, h, w) ≥ 0 of any size; the network resizes it bilinearly to the grid of patches.

        Args:
            coarse: the base network's result.
            source, background: (B, 3, H, W), full size; no background where the network takes none.
            target: (B, 1, H, W), the true alpha, where it is known.
        """


class PatchSelector(Part, nn.Module):
    """Scores patches. Those with a score above 0 are refined, of each image at most the `patches` highest: `select`.

    `patches` is an attribute of this name; None sets no limit. `uses_error` is True where the score depends on the
    error map.

    Example:
        >>> class Squared(PatchSelector):
        ...     uses_error, patches = True, 2
        ...     def forward(self, error): return error**2
        >>> Squared()(torch.tensor([[[[1.0, 0.0, 3.0]]]]))
        tensor([[[[1., 0., 9.]]]])
    """

    uses_error = False
    patches: int | None = None

    @abstractmethod
    def forward(self, error: Tensor) -> Tensor:
        """Return a score of the shape of the error map, which lies on the grid of patches: (B, 1, H/4, W/4)."""


def select(score: Tensor, patches: int | None) -> Tensor:
    """Return the patches to refine, as booleans: score above 0, at most the `patches` highest of each image.

    Args:
        score: (B, 1, h, w), on the grid of patches.
        patches: an upper bound for each image; None: no bound.

    Example:
        >>> select(torch.tensor([[[[0.5, -1.0, 2.0, 1.0]]]]), 2)
        tensor([[[[False, False,  True,  True]]]])
    """
    positive = score > 0
    if patches is None or patches >= score[0].numel():
        return positive
    best = score.flatten(1).topk(patches, 1, sorted=False).indices
    among_best = torch.zeros_like(positive).flatten(1).scatter(1, best, torch.ones_like(best, dtype=torch.bool))
    return positive & among_best.view_as(positive)


class Refiner(Part, nn.Module):
    """Recomputes the selected patches at full size.

    A refiner whose `refines` is False only enlarges the coarse result: then any `base_scale` up to 1 works, no patch is
    selected, and sides need not be multiples of 4.

    Example:
        >>> class Enlarge(Refiner):
        ...     refines = False
        ...     def forward(self, source, background, coarse, score, patches):
        ...         enlarged = (resize(image, source.shape[-2:]) for image in coarse[:2])
        ...         return *enlarged, torch.zeros_like(score)
        >>> Enlarge().spec["class_path"]
        'Enlarge'
    """

    refines = True

    def leave_out_background(self) -> None:
        """Change the layers for a network without captured background; called once, before anything is computed.

        Raises:
            ValueError: the refiner needs a background.
        """
        raise ValueError(
            f"{type(self).__name__} needs the captured background, and captured_background is false: choose "
            "PatchRefiner or NoRefiner."
        )

    @abstractmethod
    def forward(
        self, source: Tensor, background: Tensor | None, coarse: Coarse, score: Tensor, patches: int | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Refine the patches that `select(score, patches)` chooses.

        Args:
            source, background: (B, 3, H, W); H and W are multiples of 4 (when it `refines`). The background is None
                after `leave_out_background`.
            coarse: the base network's result.
            score: (B, 1, ⌈H/4⌉, ⌈W/4⌉) from the selector.
            patches: an upper bound for each image.

        Returns:
            alpha (B, 1, H, W); the three foreground channels (B, 3, H, W), of the kind that `coarse.foreground` is;
            refined patches (B, 1, ⌈H/4⌉, ⌈W/4⌉), 0 or 1. Neither alpha nor foreground is clamped.
        """

    def alpha(
        self, source: Tensor, background: Tensor | None, coarse: Coarse, score: Tensor, patches: int | None
    ) -> tuple[Tensor, Tensor]:
        """Return alpha and refined patches of `forward`, without the foreground; override it where that saves work."""
        alpha, _, refined = self(source, background, coarse, score, patches)
        return alpha, refined


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize bilinearly, corners not aligned, no antialias: the one resize of the whole network (official behaviour).

    Example:
        >>> resize(torch.tensor([[[[0.0, 1.0]]]]), (1, 4)).flatten().tolist()
        [0.0, 0.25, 0.75, 1.0]
    """
    if x.shape[1] == 3 and x.device.type == "cpu" and not torch.compiler.is_compiling():
        # torch would first copy three channels into another order, and enlarge them more slowly there than one by one.
        return resize(x.reshape(-1, 1, *x.shape[-2:]), size).view(*x.shape[:2], *size)
    return F.interpolate(x, size, mode="bilinear", align_corners=False)
