"""What loading is timed beside: the official datasets and augmentations, from a checkout of their repository."""

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
"""Where the official datasets are in a checkout."""
MODULES = ("augmentation", "images", "zip")
"""The modules that read pictures. (The package as a whole also wants OpenCV, for videos.)"""


class PlainFolder(Dataset):
    """The pictures of a folder as Pillow gives them, sorted by name; arguments as of `Official.pictures`."""

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
        """Cut-outs and backgrounds at this side, with the steps of the official base training (its `train_base.py`):
        ((alpha, foreground), background), floats.
        """
        cutout = [*self.steps(side, "Pair", (0.4, 1)), self.augmentation.PairApplyOnlyAtIndices([1], jitter())]
        cutout.append(self.augmentation.PairApply(transforms.ToTensor()))
        place = transforms.Compose([*self.steps(side, "", (1, 2)), jitter(), transforms.ToTensor()])
        files = [self.pictures(root / "pha", "L"), self.pictures(root / "fgr", "RGB")]
        pairs = self.zip.ZipDataset(files, self.augmentation.PairCompose(cutout), assert_equal_length=True)
        return self.zip.ZipDataset([pairs, self.pictures(backgrounds, "RGB", place)])

    def steps(self, side: int, prefix: str, scale: tuple[float, float]) -> list[Any]:
        """The steps before the colours: for alpha and foreground alike (`Pair`), or for one picture."""
        affine, blur, sharpen = (
            getattr(self.augmentation, prefix + name)
            for name in ("RandomAffineAndResize", "RandomBoxBlur", "RandomSharpen")
        )
        flip = self.augmentation.PairRandomHorizontalFlip if prefix else transforms.RandomHorizontalFlip
        moved = affine((side, side), degrees=(-5, 5), translate=(0.1, 0.1), scale=scale, shear=(-5, 5))
        return [moved, flip(), blur(0.1, 5), sharpen(0.1)]

    def loader(self, samples: Dataset, batch_size: int, workers: int) -> DataLoader:
        """The official loader of these samples, its workers kept for the next epoch as ours are."""
        return DataLoader(
            samples,
            batch_size=batch_size,
            shuffle=True,
            num_workers=workers,
            persistent_workers=workers > 0,
            multiprocessing_context="fork" if workers else None,  # others would look for the classes by their names
        )

    def pictures(self, folder: Path, mode: str, steps: Any = None) -> Dataset:
        """The pictures of a folder, in Pillow's `RGB` or `L`, each changed by the steps."""
        return self.images.ImagesDataset(str(folder), mode=mode, transforms=steps)


def jitter() -> transforms.ColorJitter:
    """Of colours, as in the official base training."""
    return transforms.ColorJitter(0.15, 0.15, 0.15, 0.05)


def load_official(checkout: Path) -> Official:
    """The official modules that read and augment pictures; none of them stays behind under a name.

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
    """The files of `MODULES`.

    Raises:
        ValueError: there are none, or others.
    """
    files = [checkout / PACKAGE / f"{name}.py" for name in MODULES]
    if not all(file.is_file() for file in files) or "PairRandomAffineAndResize" not in files[0].read_text("utf-8"):
        raise ValueError(
            f"--against {checkout}: expected a checkout of the official BackgroundMattingV2 repository, with its "
            f"datasets and augmentations in {PACKAGE}/."
        )
    return files


def checkout_digest(checkout: Path) -> str:
    """SHA-256 of the code in those files, so that a record says which code it was."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in check_checkout(checkout))).hexdigest()
