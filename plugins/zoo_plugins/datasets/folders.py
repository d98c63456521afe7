"""Datasets in folders of images: foregrounds with alphas, RGBA cut-outs, or finished photographs with alphas.

The constructors list the files and compare their names; a file is opened when its matte is asked for.
"""

from pathlib import Path

from torch import Tensor

from zoo.matting.folders import find_pairs, fingerprint, read_pair, straight
from zoo.matting.parts import Matte, MattingDataset
from zoo.media.folders import find_images
from zoo.media.images import MediaError, read_image, to_tensor


class BackgroundFolder(MattingDataset):
    """Base class of datasets whose backgrounds are the images of a folder and its subfolders, sorted by path.

    Raises:
        MediaError: the folder is missing or holds no image.
    """

    def __init__(self, backgrounds: str) -> None:
        self._background_files = find_images(backgrounds)

    @property
    def background_count(self) -> int:
        return len(self._background_files)

    def background(self, index: int) -> Tensor:
        return to_tensor(read_image(self._background_files[index], "RGB", self.background_side), scale=False)


class MatteFolder(BackgroundFolder):
    """Foregrounds and alphas in two folders, the layout that the official code trains on.

    The two folders may be nested; `fgr/anna/01.jpg` belongs to `pha/anna/01.png`.

    Args:
        root: the folder that holds the two, such as `VideoMatte240K/train`.
        backgrounds: a folder of images, searched with its subfolders; its whole path, since it is often not in
            `root`.
        foregrounds: the foregrounds' folder in `root` (an absolute path works too).
        alphas: the alphas' folder in `root` (an absolute path works too).
        premultiplied: the files' colours are multiplied by alpha; `zoo data check` tells. They are divided by it.

    Raises:
        MediaError: a folder is missing or empty, or the names of foregrounds and alphas do not match.

    Example:
        >>> import numpy as np, tempfile
        >>> from zoo.media.images import write_image
        >>> root = Path(tempfile.mkdtemp())
        >>> for kind in ("fgr", "pha", "bgr"):
        ...     _ = write_image(root / kind / "a.png", np.zeros((2, 3), np.uint8))
        >>> MatteFolder(str(root), str(root / "bgr")).matte(0).foreground.shape
        torch.Size([3, 2, 3])
    """

    def __init__(
        self, root: str, backgrounds: str, foregrounds: str = "fgr", alphas: str = "pha", premultiplied: bool = False
    ) -> None:
        super().__init__(backgrounds)
        self._pairs = find_pairs(Path(root), foregrounds, alphas, find_images)
        self._premultiplied = premultiplied

    def __len__(self) -> int:
        return len(self._pairs)

    def matte(self, index: int) -> Matte:
        pair = self._pairs[index]
        foreground, alpha = read_pair(pair, self._premultiplied)
        return Matte(to_tensor(foreground, scale=False), to_tensor(alpha, scale=False), pair.name)

    def fingerprint(self, index: int) -> str:
        return fingerprint(*self._pairs[index][1:]) + "\npremultiplied" * self._premultiplied


class CutoutFolder(BackgroundFolder):
    """RGBA cut-outs: images with a transparent background, such as PhotoMatte85's PNG files.

    Args:
        root: a folder of cut-outs, searched with its subfolders.
        backgrounds: a folder of images, searched with its subfolders; it must not lie in `root`.
        premultiplied: the files' colours are multiplied by alpha; `zoo data check` tells. They are divided by it.

    Raises:
        MediaError: a folder is missing or empty, or one lies in the other.

    Example:
        >>> CutoutFolder("cutouts", "nowhere")
        Traceback (most recent call last):
        zoo.media.errors.MediaError: nowhere is not a folder; expected a folder of images: check the path.
    """

    def __init__(self, root: str, backgrounds: str, premultiplied: bool = False) -> None:
        super().__init__(backgrounds)
        self._premultiplied = premultiplied
        if Path(backgrounds).resolve().is_relative_to(Path(root).resolve()):
            raise MediaError(
                f"the backgrounds' folder {backgrounds} lies in the cut-outs' folder {root}, where every picture "
                "is taken for a cut-out; expected two folders side by side: move one of them."
            )
        self._root = Path(root)
        self._files = find_images(root)

    def __len__(self) -> int:
        return len(self._files)

    def matte(self, index: int) -> Matte:
        file = self._files[index]
        pixels = read_image(file, "RGBA")
        if self._premultiplied:
            pixels[:, :, :3] = straight(pixels[:, :, :3], pixels[:, :, 3])
        image = to_tensor(pixels, scale=False)
        return Matte(image[:3], image[3:], file.relative_to(self._root).with_suffix("").as_posix())

    def fingerprint(self, index: int) -> str:
        return fingerprint(self._files[index]) + "\npremultiplied" * self._premultiplied


class PhotographFolder(MattingDataset):
    """Finished photographs with their true alphas, for validation and test: the layout of AIM-500 or P3M-500.

    Nothing is composited: the photograph is what the network sees. Its own foreground is not known, so the foreground
    is not measured.

    Args:
        root: the folder that holds the others.
        photographs: the photographs' folder in `root` (an absolute path works too).
        alphas: the alphas' folder in `root`, with the same names.
        backgrounds: the captured backgrounds' folder in `root`, with the same names; null for networks that need none.

    Raises:
        MediaError: a folder is missing or empty, or the names do not match.

    Example:
        >>> import numpy as np, tempfile
        >>> from zoo.media.images import write_image
        >>> root = Path(tempfile.mkdtemp())
        >>> for kind in ("image", "alpha"):
        ...     _ = write_image(root / kind / "a.png", np.zeros((2, 3), np.uint8))
        >>> PhotographFolder(str(root)).background_count
        0
    """

    finished = True

    def __init__(
        self, root: str, photographs: str = "image", alphas: str = "alpha", backgrounds: str | None = None
    ) -> None:
        self._pairs = find_pairs(Path(root), photographs, alphas, find_images, "photographs")
        self._behind = None
        if backgrounds is not None:
            self._behind = find_pairs(Path(root), backgrounds, alphas, find_images, "backgrounds")

    def __len__(self) -> int:
        return len(self._pairs)

    def matte(self, index: int) -> Matte:
        pair = self._pairs[index]
        photograph, alpha = read_pair(pair, False)
        return Matte(to_tensor(photograph, scale=False), to_tensor(alpha, scale=False), pair.name)

    @property
    def background_count(self) -> int:
        return len(self._behind or ())

    def background(self, index: int) -> Tensor:
        if self._behind is None:
            raise MediaError("these photographs have no backgrounds; expected the argument backgrounds.")
        return to_tensor(read_image(self._behind[index].foreground, "RGB"), scale=False)
