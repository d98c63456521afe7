"""The matting network: guide, backbone, context, decoder, error map, patch selector, refiner.

Pure torch, built from its parts, and independent of training. With timm's `resnet50`, `resnet101` or `mobilenetv2_100`,
`ASPP`, `PredictedError`, `TopK` and `PatchRefiner` it is BackgroundMattingV2, parameter for parameter and number for
number.
"""

import math
import warnings
from collections.abc import Iterable
from typing import Literal, NamedTuple, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.core.errors import ZooError
from zoo.core.parts import Backbone
from zoo.core.promises import check_built, check_features, check_output
from zoo.core.seeding import random_stream, run_seed
from zoo.core.spec import build, place_of
from zoo.matting.parts import PATCH, Coarse, Context, ErrorMap, Guide, MattingOutput, PatchSelector, Refiner, resize

STRIDES = (2, 4, 8, 16)
ForegroundKind = Literal["residual", "direct"]
BaseScale = float | tuple[float, float]
"""Size of the base network's input relative to the image; two numbers are for height and width."""


class Prepared(NamedTuple):
    """An image at the sizes that the parts of the network read.

    Example:
        >>> import zoo
        >>> network = zoo.create_model("bgmv2_mobilenetv2").network
        >>> network.prepare(torch.rand(1, 3, 30, 64)).whole.shape
        torch.Size([1, 3, 32, 64])
    """

    whole: Tensor
    """(B, 3, H', W'); where patches are refined, sides are multiples of 4."""
    reduced: Tensor
    """(B, 3, Hc, Wc), at `base_scale`."""
    size: tuple[int, int]
    """(H, W) of the image."""


class MattingNetwork(nn.Module):
    """Computes alpha and foreground from source and captured background (paper, section 3), or from a guide instead.

    Args:
        backbone: features at strides 2, 4, 8 and 16 of source, background and guide, seven channels at most.
        error_map: where the coarse alpha is likely wrong.
        selector: which patches are refined.
        refiner: how.
        foreground: `residual`, the network predicts foreground − source (paper), or `direct`, the foreground itself.
        base_scale: size of the base network's input relative to the image: 1/4 for HD and 1/8 for 4K in the paper, at
            most 1/2; 1 only without refinement, which is the first training stage.
        context: between backbone and decoder; None for `ASPP` (official).
        decoder_width: the decoder's layers have 1/2, 1/4 and 3/16 of it in channels (official 256: 128, 64 and 48).
        guide: rough mask of the foreground for the base network; None for `NoGuide` (official).
        captured_background: False leaves the background out of base network and refiner.

    Raises:
        ValueError: parts that do not go together; the message names parts that do.

    Example:
        >>> import zoo
        >>> network = zoo.create_model("bgmv2_mobilenetv2").network.eval()
        >>> with torch.no_grad():
        ...     output = network(torch.rand(1, 3, 64, 96), torch.rand(1, 3, 64, 96))
        >>> output.alpha.shape, output.refined.shape
        (torch.Size([1, 1, 64, 96]), torch.Size([1, 1, 16, 24]))
    """

    def __init__(
        self,
        backbone: Backbone,
        error_map: ErrorMap,
        selector: PatchSelector,
        refiner: Refiner,
        foreground: ForegroundKind = "residual",
        base_scale: float = 0.25,
        context: Context | None = None,
        decoder_width: int = 256,
        guide: Guide | None = None,
        captured_background: bool = True,
    ) -> None:
        super().__init__()
        if decoder_width < 16 or decoder_width % 16:
            raise ValueError(f"decoder_width={decoder_width}: expected a multiple of 16, such as 64 or 256.")
        check_combination(error_map, selector, refiner, foreground, base_scale)
        self.foreground = foreground
        self.base_scale: BaseScale = base_scale
        self.captured_background = captured_background
        if not captured_background:
            if error_map.needs_background:
                raise ValueError(
                    f"{type(error_map).__name__} compares with the captured background, and captured_background is "
                    "false: choose another error map, such as PredictedError."
                )
            with random_stream(run_seed(), type(refiner).__name__):
                refiner.leave_out_background()
        self.guide = guide or build({"class_path": "NoGuide"})
        channels = 3 + 3 * captured_background + self.guide.channels
        with random_stream(run_seed(), "backbone"):
            backbone.build(in_channels=channels, strides=STRIDES)
        check_built(backbone, STRIDES)
        self.backbone = backbone
        with random_stream(run_seed(), "aspp"):
            self.aspp = context or build({"class_path": "ASPP"})  # any context, under the name of official weights
            self.aspp.build(backbone.channels[-1])
        with random_stream(run_seed(), "decoder"):
            self.decoder = Decoder(self.aspp.channels, [*backbone.channels[-2::-1], channels], decoder_width)
        self.error_map = error_map
        self.selector = selector
        self.refiner = refiner
        self._clamp_reported = False

    def set_base_scale(self, base_scale: BaseScale) -> None:
        """Change the size of the base network's input: no weight depends on it.

        Raises:
            ValueError: a scale that does not go with the refiner.
        """
        check_combination(self.error_map, self.selector, self.refiner, self.foreground, base_scale)
        self.base_scale = base_scale

    @property
    def inputs(self) -> tuple[str, ...]:
        """The arguments of `forward` that the network cannot do without."""
        needed = {"source": True, "background": self.captured_background, "hint": self.guide.needs_hint}
        return tuple(name for name, is_needed in needed.items() if is_needed)

    def forward(
        self,
        source: Tensor,
        background: Tensor | None = None,
        target: Tensor | None = None,
        hint: Tensor | None = None,
    ) -> MattingOutput:
        """Matte an image.

        Args:
            source: (B, 3, H, W) in [0, 1], any size.
            background: the scene without the foreground, same shape; ignored without `captured_background`.
            target: (B, 1, H, W), the true alpha; only `OracleError` reads it.
            hint: (B, 1, H, W) in [0, 1], for the guide: 0 background, 0.5 unknown, 1 foreground.

        Raises:
            ValueError: something that the network needs is missing, images differ in shape or are no floats, or the
                image is too small for `base_scale`.
        """
        background = self.check_inputs(source, background, target, hint)
        prepared = None if background is None else self.prepare(background)
        return self.matte(self.prepare(source), prepared, target, hint=hint)

    def check_inputs(
        self, source: Tensor, background: Tensor | None, target: Tensor | None = None, hint: Tensor | None = None
    ) -> Tensor | None:
        """Return the background that the network sees, None where it sees none.

        Raises:
            ValueError: as in `forward`.
        """
        if not self.captured_background:
            background = None
        elif background is None:
            raise ValueError(
                "there is no captured background, which this network needs: give an image of the same place without "
                "the foreground, or choose a network with captured_background: false."
            )
        check_images(source, background, target, hint)
        return background

    def prepare(self, image: Tensor, base_scale: BaseScale | None = None) -> Prepared:
        """Compute everything that depends on one image alone; a fixed background needs this once.

        Args:
            image: (B, 3, H, W) in [0, 1].
            base_scale: size of the base network's input relative to the image; None takes the network's own.

        Raises:
            ValueError: the image is too small for `base_scale`.
        """
        whole = whole_patches(image) if self.refiner.refines else image
        scale = self.base_scale if base_scale is None else base_scale
        return Prepared(whole, self._reduce(whole, scale), (image.shape[-2], image.shape[-1]))

    def matte(
        self,
        source: Prepared,
        background: Prepared | None = None,
        target: Tensor | None = None,
        foreground: bool = True,
        hint: Tensor | None = None,
    ) -> MattingOutput:
        """Matte prepared images, as `forward` does.

        Args:
            source, background: of `prepare`.
            target, hint: as in `forward`.
            foreground: False leaves it out, which at 4K saves most of the memory: then `foreground` is None.
        """
        behind = (None, None) if background is None else (background.whole, background.reduced)
        coarse = self.base(source.reduced, behind[1], self._guide(source, hint))
        if target is not None and self.refiner.refines:
            target = whole_patches(target)
        score, patches = self._score(coarse, source.whole, behind[0], target)
        inputs = (source.whole, behind[0], coarse, score, patches)
        images = [image for image in (*inputs[:2], *coarse) if image is not None]
        colours = None
        batch, _, *sides = source.whole.shape
        shapes = [(batch, 1, *sides), (batch, 3, *sides), tuple(score.shape)]
        if foreground:
            results = self.refiner(*inputs)
            check_output(self.refiner, results, shapes, f"alpha, foreground and refined patches, {shapes}")
            alpha, enlarged, refined = results
            colours = self._absolute(enlarged, source.whole, is_new(enlarged, images))
            colours = colours[..., : source.size[0], : source.size[1]]
        else:
            results = self.refiner.alpha(*inputs)
            check_output(self.refiner, results, shapes[::2], f"from alpha: alpha and refined patches, {shapes[::2]}")
            alpha, refined = results
        alpha = torch.clamp(alpha, 0, 1, out=alpha if is_new(alpha, images) else None)
        return MattingOutput(
            alpha=alpha[..., : source.size[0], : source.size[1]],
            foreground=cast(Tensor, colours),
            coarse_alpha=coarse.alpha,
            coarse_foreground=self._absolute(coarse.foreground, source.reduced),
            error=coarse.error,
            refined=refined.to(alpha.dtype),  # a selector may score in another
        )

    def _guide(self, source: Prepared, hint: Tensor | None) -> Tensor | None:
        """Return the guide at the size of the base network's input, None without one."""
        if hint is not None and self.refiner.refines:
            hint = whole_patches(hint)
        guide = self.guide(source.whole, None if hint is None else hint.to(source.whole.dtype))
        if (guide is None) != (self.guide.channels == 0):
            promise = "a mask (B, 1, h, w)" if self.guide.channels else "None, since its channels are 0"
            returned = "None" if guide is None else tuple(guide.shape)
            raise ZooError(f"{place_of(type(self.guide))} returned {returned}; its slot promises {promise}.")
        if guide is None:
            return None
        check_output(self.guide, guide, [(source.whole.shape[0], 1, None, None)], "a mask (B, 1, h, w)")
        return resize(guide.detach().to(source.reduced.dtype), (source.reduced.shape[-2], source.reduced.shape[-1]))

    def _reduce(self, image: Tensor, base_scale: BaseScale) -> Tensor:
        vertical, horizontal = both(base_scale)
        if vertical == horizontal == 1:
            return image
        height, width = image.shape[-2:]
        size = (torch.sym_int(height * vertical), torch.sym_int(width * horizontal))  # rounds down
        if min(size) < 1:
            least = min(vertical, horizontal)
            raise ValueError(
                f"the image is {width}×{height} pixels, too small for base_scale={least:g}: nothing is left "
                f"of it; give at least {math.ceil(1 / least)} pixels a side or a larger base_scale."
            )
        return resize(image, size)

    def base(self, source: Tensor, background: Tensor | None = None, guide: Tensor | None = None) -> Coarse:
        """Return the base network's result for source, background (B, 3, Hc, Wc) and guide (B, 1, Hc, Wc), at
        `base_scale`.
        """
        images = torch.cat([each for each in (source, background, guide) if each is not None], 1)
        features = self.backbone(images)
        check_features(self.backbone, images, features)
        x = self.aspp(features[-1])
        shape = (images.shape[0], self.aspp.channels, *features[-1].shape[-2:])
        check_output(self.aspp, x, [shape], f"features of the same size, {shape}")
        x = self.decoder(x, [*features[-2::-1], images])
        return Coarse(
            alpha=x[:, 0:1].clamp(0, 1), foreground=x[:, 1:4], error=x[:, 4:5].clamp(0, 1), hidden=F.relu(x[:, 5:])
        )

    def _score(
        self, coarse: Coarse, source: Tensor, background: Tensor | None, target: Tensor | None
    ) -> tuple[Tensor, int | None]:
        """Return the selector's score on the grid of patches, and the most patches that an image may have."""
        grid = (-(-source.shape[-2] // PATCH), -(-source.shape[-1] // PATCH))
        if not self.refiner.refines:
            return coarse.error.new_zeros(source.shape[0], 1, *grid), 0
        error = self.error_map(coarse, source, background, target)
        check_output(self.error_map, error, [(source.shape[0], 1, None, None)], "errors (B, 1, h, w)")
        patches = self.selector.patches
        if patches is not None and torch.compiler.is_compiling():
            # Sizes may be symbols here, which nothing may compare.
            patches = cast(int, torch.sym_min(patches, grid[0] * grid[1]))
        elif patches is not None and patches > grid[0] * grid[1]:
            self._warn_clamped(patches, grid)
            patches = grid[0] * grid[1]
        error = resize(error.detach(), grid)
        score = self.selector(error)
        check_output(self.selector, score, [error.shape], f"a score of the error's shape, {tuple(error.shape)}")
        return score, patches

    def _warn_clamped(self, patches: int, grid: tuple[int, int]) -> None:
        if not self._clamp_reported and not torch.compiler.is_compiling():
            self._clamp_reported = True
            warnings.warn(
                f"{type(self.selector).__name__}(patches={patches}): this image has only {grid[0] * grid[1]} patches "
                f"({grid[1]}×{grid[0]}), so all may be refined.",
                stacklevel=2,
            )

    def _absolute(self, foreground: Tensor, source: Tensor, in_place: bool = False) -> Tensor:
        """Return the colours themselves, in [0, 1]; `in_place` changes the tensor instead of making another."""
        if self.foreground == "residual":
            in_place = in_place and foreground.dtype == source.dtype
            foreground = torch.add(foreground, source, out=foreground if in_place else None)
        return torch.clamp(foreground, 0, 1, out=foreground if in_place else None)


class Decoder(nn.Module):
    """Four times: enlarge bilinearly to the next finer feature map, concatenate, convolve; BatchNorm and ReLU after all
    but the last.

    Args:
        in_channels: of the context's result.
        skip_channels: of the joined maps, coarsest first; the last one is the input image.
        width: the layers have 1/2, 1/4 and 3/16 of it in channels.
    """

    def __init__(self, in_channels: int, skip_channels: list[int], width: int = 256) -> None:
        super().__init__()
        # 37 = 1 alpha + 3 foreground + 1 error + 32 hidden
        widths = [in_channels, width // 2, width // 4, 3 * width // 16, 37]
        self.conv1 = nn.Conv2d(widths[0] + skip_channels[0], widths[1], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[1])
        self.conv2 = nn.Conv2d(widths[1] + skip_channels[1], widths[2], 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(widths[2])
        self.conv3 = nn.Conv2d(widths[2] + skip_channels[2], widths[3], 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(widths[3])
        self.conv4 = nn.Conv2d(widths[3] + skip_channels[3], widths[4], 3, padding=1)
        # Alpha and error are clamped to [0, 1], which stops the gradient outside; begun inside, every pixel learns from
        # the first step.
        assert self.conv4.bias is not None
        nn.init.constant_(self.conv4.bias[0:1], 0.5)
        nn.init.constant_(self.conv4.bias[4:5], 0.1)

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        """Return (B, 37, H, W) at the last skip's size, of x (B, in_channels, h, w) and the skips, coarsest first."""
        x = F.relu(self.bn1(self.conv1(join(x, skips[0]))))
        x = F.relu(self.bn2(self.conv2(join(x, skips[1]))))
        x = F.relu(self.bn3(self.conv3(join(x, skips[2]))))
        return self.conv4(join(x, skips[3]))


def join(x: Tensor, skip: Tensor) -> Tensor:
    """Enlarge x to the skip's size, and concatenate the skip's channels."""
    return torch.cat([resize(x, (skip.shape[-2], skip.shape[-1])), skip], 1)


def is_new(result: Tensor, inputs: Iterable[Tensor]) -> bool:
    """Whether a part's result may be changed in place: no gradient and no graph remembers it, and it shares no memory
    with the part's inputs.
    """
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    memory = result.untyped_storage().data_ptr()
    return result.is_contiguous() and all(each.untyped_storage().data_ptr() != memory for each in inputs)


def whole_patches(image: Tensor) -> Tensor:
    """Repeat the right and bottom edge up to the next multiple of 4 pixels."""
    right, bottom = -image.shape[-1] % PATCH, -image.shape[-2] % PATCH
    return F.pad(image, (0, right, 0, bottom), mode="replicate") if right or bottom else image


def check_images(
    source: Tensor, background: Tensor | None, target: Tensor | None = None, hint: Tensor | None = None
) -> None:
    """Raise ValueError unless source and background are float (B, 3, H, W) of one shape, target and hint (B, 1, H, W).

    Example:
        >>> check_images(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8))
    """
    if source.ndim != 4 or source.shape[1] != 3:
        raise ValueError(f"source has shape {tuple(source.shape)}; expected (B, 3, H, W), RGB in [0, 1].")
    if background is not None and source.shape != background.shape:
        raise ValueError(
            f"source has shape {tuple(source.shape)} but background {tuple(background.shape)}; both must be the same "
            "size: resize or align the background."
        )
    for name, image in (("source", source), ("background", background), ("hint", hint)):
        if image is not None and not image.is_floating_point():
            raise ValueError(f"{name} has dtype {image.dtype}; expected floats in [0, 1]: divide 8-bit images by 255.")
    expected = (source.shape[0], 1, *source.shape[-2:])
    if target is not None and target.shape != expected:
        raise ValueError(f"target has shape {tuple(target.shape)}; expected the true alpha as {tuple(expected)}.")
    if hint is not None and hint.shape != expected:
        raise ValueError(
            f"the guide's mask has shape {tuple(hint.shape)}; expected {tuple(expected)}, one channel of the size of "
            "the source: resize it."
        )


def both(base_scale: BaseScale) -> tuple[float, float]:
    """Return the scales of height and width."""
    return base_scale if isinstance(base_scale, tuple) else (base_scale, base_scale)


def check_combination(
    error_map: ErrorMap, selector: PatchSelector, refiner: Refiner, foreground: str, base_scale: BaseScale
) -> None:
    """Raise ValueError for parts that do not go together."""
    if foreground not in get_args(ForegroundKind):
        raise ValueError(f"foreground={foreground!r}: expected 'residual' or 'direct'.")
    smallest, largest = min(both(base_scale)), max(both(base_scale))
    if not 0 < smallest <= largest <= 1:
        raise ValueError(
            f"base_scale={largest if largest > 1 else smallest:g}: expected a number in (0, 1], such as 0.25."
        )
    if refiner.refines and largest > 0.5:
        raise ValueError(
            f"base_scale={largest:g} with {type(refiner).__name__}: refinement starts from half size, so expected "
            "at most 0.5; choose 0.5, 0.25 or 0.125, or NoRefiner."
        )
    if refiner.refines and selector.uses_error and not error_map.informative:
        raise ValueError(
            f"{type(selector).__name__} ranks patches by error, and {type(error_map).__name__} has none: choose "
            "RandomPatches or AllPatches."
        )
