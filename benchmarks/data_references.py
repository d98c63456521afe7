"""Plain references of loading: the official datasets and augmentations, from a checkout of their repository."""

import hashlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.matting_references import without_bytecode

PACKAGE = Path("dataset")
"""Folder of the official datasets in a checkout."""
MODULES = ("augmentation", "images", "zip")
"""The modules that read images. (The whole package also needs OpenCV, for videos.)"""


class PlainFolder(Dataset):
    """The images of a folder, read by Pillow and sorted by name; arguments as in `Official.pictures`."""

    def __init__(self, folder: Path, mode: str) -> None:
        self.files, self.mode = sorted(folder.iterdir()), mode

    def __getitem__(self, index: int) -> Image.Image:
        with Image.open(self.files[index]) as image:
            return image.convert(self.mode)


class Official(NamedTuple):
    """The modules of the official data pipeline."""

    augmentation: ModuleType
    images: ModuleType
    zip: ModuleType

    def samples(self, root: Path, backgrounds: Path, side: int) -> Dataset:
        """Return cut-outs and backgrounds of this side, with the steps of the official `train_base.py`.

        A sample is ((alpha, foreground), background), floats.
        """
        cutout = [*self.steps(side, "Pair", (0.4, 1)), self.augmentation.PairApplyOnlyAtIndices([1], jitter())]
        cutout.append(self.augmentation.PairApply(transforms.ToTensor()))
        background = transforms.Compose([*self.steps(side, "", (1, 2)), jitter(), transforms.ToTensor()])
        files = [self.pictures(root / "pha", "L"), self.pictures(root / "fgr", "RGB")]
        pairs = self.zip.ZipDataset(files, self.augmentation.PairCompose(cutout), assert_equal_length=True)
        return self.zip.ZipDataset([pairs, self.pictures(backgrounds, "RGB", background)])

    def steps(self, side: int, prefix: str, scale: tuple[float, float]) -> list[Any]:
        """Return the steps before the colours, for alpha and foreground together (`Pair`) or for one image."""
        affine, blur, sharpen = (
            getattr(self.augmentation, prefix + name)
            for name in ("RandomAffineAndResize", "RandomBoxBlur", "RandomSharpen")
        )
        flip = self.augmentation.PairRandomHorizontalFlip if prefix else transforms.RandomHorizontalFlip
        moving = affine((side, side), degrees=(-5, 5), translate=(0.1, 0.1), scale=scale, shear=(-5, 5))
        return [moving, flip(), blur(0.1, 5), sharpen(0.1)]

    def loader(self, samples: Dataset, batch_size: int, workers: int) -> DataLoader:
        """Return the official loader of these samples, with persistent workers as ours."""
        return DataLoader(
            samples,
            batch_size=batch_size,
            shuffle=True,
            num_workers=workers,
            persistent_workers=workers > 0,
            multiprocessing_context="fork" if workers else None,  # spawned workers would import the classes by name
        )

    def pictures(self, folder: Path, mode: str, steps: Any = None) -> Dataset:
        """Return the images of a folder, in Pillow's `RGB` or `L`, each transformed by the steps."""
        return self.images.ImagesDataset(str(folder), mode=mode, transforms=steps)


def jitter() -> transforms.ColorJitter:
    """Return the colour jitter of the official base training."""
    return transforms.ColorJitter(0.15, 0.15, 0.15, 0.05)


def load_official(checkout: Path) -> Official:
    """Return the official modules that read and augment images, and leave no trace of them in `sys.modules`.

    Raises:
        ValueError: the folder is no such checkout.
    """
    modules = {}
    for name, file in zip(MODULES, check_checkout(checkout), strict=True):
        spec = importlib.util.spec_from_file_location(f"official_{name}", file)
        assert spec is not None
        assert spec.loader is not None
        modules[name] = importlib.util.module_from_spec(spec)
        with without_bytecode():
            spec.loader.exec_module(modules[name])
    return Official(**modules)


def check_checkout(checkout: Path) -> list[Path]:
    """Return the files of `MODULES` in a checkout.

    Raises:
        ValueError: a file is missing or has other content.
    """
    files = [checkout / PACKAGE / f"{name}.py" for name in MODULES]
    if not all(file.is_file() for file in files) or "PairRandomAffineAndResize" not in files[0].read_text("utf-8"):
        raise ValueError(
            f"--against {checkout}: expected a checkout of the official BackgroundMattingV2 repository, with its "
            f"datasets and augmentations in {PACKAGE}/."
        )
    return files


def checkout_digest(checkout: Path) -> str:
    """Return the SHA-256 of the code in those files, for the record."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in check_checkout(checkout))).hexdigest()
