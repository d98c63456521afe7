"""Guides: rough masks of the foreground that the base network sees as one more channel."""

from importlib.resources import as_file, files

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from zoo.matting.parts import Guide
from zoo_plugins.mediapipe import SELFIE_SIDE, SelfieNetwork


class NoGuide(Guide):
    """No guide, as in BackgroundMattingV2.

    Example:
        >>> NoGuide()(torch.rand(1, 3, 8, 8)) is None
        True
    """

    channels = 0

    def forward(self, source: Tensor, hint: Tensor | None = None) -> Tensor | None:
        return None


class MaskGuide(Guide):
    """The hint itself: a mask, a trimap (0.5 where it is unknown) or clicks, from the user or the data module.

    Example:
        >>> MaskGuide()(torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 8)).min()
        tensor(1.)
    """

    needs_hint = True

    def forward(self, source: Tensor, hint: Tensor | None = None) -> Tensor | None:
        if hint is None:
            raise ValueError(
                "there is no mask for MaskGuide: give one (zoo matte --guide MASK, hint=… in Python, the augmentation "
                "AlphaGuide in training, `hint` of an evaluation set), or choose PersonGuide, which finds people."
            )
        return hint


class PersonGuide(Guide):
    """The hint, where there is one, otherwise the people that MediaPipe's selfie segmentation finds.

    The segmentation sees 256×256 pixels and is not trained. Its weights (Apache-2.0, The MediaPipe Authors), converted
    by `tools/mediapipe.py`, come with the package and are in no checkpoint.

    Example:
        >>> PersonGuide()(torch.zeros(1, 3, 96, 128)).max() < 0.5
        tensor(True)
    """

    def __init__(self) -> None:
        super().__init__()
        self.network = SelfieNetwork().eval()
        with as_file(files("zoo_plugins") / "weights" / "selfie.safetensors") as path:
            weights = load_file(path)
        for name, module in self.network.named_modules():
            for key, value in list(module.named_parameters(recurse=False)):
                # No parameters, so that nothing trains or saves them.
                delattr(module, key)
                module.register_buffer(key, weights[f"{name}.{key}"].to(value), persistent=False)

    def forward(self, source: Tensor, hint: Tensor | None = None) -> Tensor | None:
        if hint is not None:
            return hint
        precise = source.to(torch.promote_types(source.dtype, torch.float32))  # antialias has no half precision on CPUs
        square = F.interpolate(precise, (SELFIE_SIDE, SELFIE_SIDE), mode="bilinear", antialias=True)
        return self.network(square.to(source.dtype))
