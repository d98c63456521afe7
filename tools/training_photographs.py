"""Collect openly licensed photographs into a folder for `SyntheticMattes(photographs=FOLDER)`.

Three packages are read; the files that they contain are not part of this repository:

- Debian's `lomiri-wallpapers-16.04`: nine photographs under CC BY 4.0 and one under CC0 1.0; those under CC BY-SA are
  left out;
- npm's `@pmndrs/assets`: environment maps under CC0 1.0, of which views in several directions are rendered;
- scikit-learn: two photographs under CC BY 2.0.

    pip install OpenEXR scikit-learn
    apt-get download lomiri-wallpapers-16.04
    npm pack @pmndrs/assets@1.7.0
    python tools/training_photographs.py lomiri-wallpapers-16.04_*.deb pmndrs-assets-1.7.0.tgz photographs

ATTRIBUTION.txt in the folder names authors and licences.
"""

import argparse
import base64
import subprocess
import tarfile
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import map_coordinates

LONGEST_SIDE = 2560
"""Photographs are reduced to this."""
VIEW_SIDE, VIEWS = 640, 6
"""Side in pixels of a view of an environment map, and number of views of each."""

LOMIRI = {
    "aitzgorri_by_Aitzol_Berasategi": "Aitzol Berasategi, CC BY 4.0",
    "friends_by_Aitzol_Berasategi": "Aitzol Berasategi, CC BY 4.0",
    "life_by_Aitzol_Berasategi": "Aitzol Berasategi, CC BY 4.0",
    "picosdeeuropa_by_Aitzol_Berasategi": "Aitzol Berasategi, CC BY 4.0",
    "sunset_by_Aitzol_Berasategi": "Aitzol Berasategi, CC BY 4.0",
    "Picture_0B_by_freespace": "Trevor 'Freespace', CC BY 4.0",
    "Picture_1A_by_freespace": "Trevor 'Freespace', CC BY 4.0",
    "umang_by_Abhishek_Mudgal": "Abhishek Mudgal, CC BY 4.0",
    "Wine_by_Jakkub_Mede": "Jakub Mede, CC BY 4.0",
    "seeding_by_Clements_Engelhardt": "Clemens Engelhardt, CC0 1.0",
}
SCIKIT_LEARN = {"china": "danielbuechele, CC BY 2.0", "flower": "vultilion, CC BY 2.0"}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lomiri", type=Path, help="Debian's package lomiri-wallpapers-16.04")
    parser.add_argument("assets", type=Path, help="npm's package @pmndrs/assets")
    parser.add_argument("folder", type=Path, help="the folder to write")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    lines = write_lomiri(arguments.lomiri, arguments.folder)
    lines += write_scikit_learn(arguments.folder)
    lines += write_views(arguments.assets, arguments.folder)
    (arguments.folder / "ATTRIBUTION.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"Wrote {len(list(arguments.folder.glob('*.jpg')))} photographs to {arguments.folder}.")


def write_lomiri(package: Path, folder: Path) -> list[str]:
    """Write the photographs under CC BY and CC0; return their attribution."""
    with tempfile.TemporaryDirectory() as unpacked:
        subprocess.run(["dpkg", "-x", str(package), unpacked], check=True)
        for name in LOMIRI:
            write(Image.open(Path(unpacked) / f"usr/share/backgrounds/{name}.jpg"), folder / f"{name}.jpg")
    return [f"{name}.jpg: {author}" for name, author in LOMIRI.items()]


def write_scikit_learn(folder: Path) -> list[str]:
    """Write the photographs in the installed scikit-learn; return their attribution."""
    spec = find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("scikit-learn is not installed: run `pip install scikit-learn`.")
    images = Path(spec.submodule_search_locations[0]) / "datasets" / "images"
    for name in SCIKIT_LEARN:
        write(Image.open(images / f"{name}.jpg"), folder / f"{name}.jpg")
    return [f"{name}.jpg: {author}" for name, author in SCIKIT_LEARN.items()]


def write_views(package: Path, folder: Path) -> list[str]:
    """Render and write views of the environment maps; return their attribution."""
    lines = []
    with tarfile.open(package) as archive:
        for member in sorted(archive.getnames()):
            if member.startswith("package/hdri/") and member.endswith(".exr.js"):
                name = Path(member).name.removesuffix(".exr.js")
                radiance = read_environment(archive.extractfile(member).read())  # type: ignore[union-attr]
                for number in range(VIEWS):
                    write(view(radiance, 2 * np.pi * number / VIEWS), folder / f"hdri_{name}_{number}.jpg")
                lines.append(f"hdri_{name}_*.jpg: views of '{name}' of npm @pmndrs/assets, CC0 1.0")
    return lines


def read_environment(module: bytes) -> NDArray[np.float32]:
    """Return linear light of all directions (H, W, 3) from a JavaScript module that holds an EXR as base64."""
    import OpenEXR

    encoded = module.split(b"base64,", 1)[1].split(b"'", 1)[0]
    with tempfile.NamedTemporaryFile(suffix=".exr") as file:
        file.write(base64.b64decode(encoded))
        file.flush()
        channels = OpenEXR.File(file.name).channels()
    pixels = channels["RGB"].pixels if "RGB" in channels else np.dstack([channels[c].pixels for c in "RGB"])
    return np.nan_to_num(np.asarray(pixels, np.float32), nan=1e4, posinf=1e4).clip(0, 1e4)


def view(radiance: NDArray[np.float32], heading: float, field: float = np.pi / 2) -> Image.Image:
    """Return what a camera sees that looks at the horizon, exposed for the view's median.

    Args:
        radiance: linear light of all directions, equirectangular (H, W, 3).
        heading: radians to the right of the map's middle.
        field: the camera's field of view, radians.
    """
    height, width = radiance.shape[:2]
    across = np.tan(field / 2) * np.linspace(-1, 1, VIEW_SIDE)
    x, y = np.meshgrid(across, across)
    longitude = heading + np.arctan(x)
    latitude = np.arctan2(-y, np.sqrt(1 + x**2))
    columns = (longitude / (2 * np.pi) + 0.5) * width - 0.5
    rows = (0.5 - latitude / np.pi) * height - 0.5
    wrapped = np.pad(radiance, ((1, 1), (0, 0), (0, 0)), mode="edge")
    place = np.stack([rows + 1, columns % width])
    seen = np.dstack([map_coordinates(wrapped[..., channel], place, order=1, mode="grid-wrap") for channel in range(3)])
    exposed = 1 - np.exp(-seen * 0.6 / max(float(np.median(seen)), 1e-6))
    return Image.fromarray(np.rint(255 * exposed.clip(0, 1) ** (1 / 2.2)).astype(np.uint8))


def write(image: Image.Image, path: Path) -> None:
    """Save an image as JPEG, reduced to `LONGEST_SIDE`."""
    image = image.convert("RGB")
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    image.save(path, quality=92)


if __name__ == "__main__":
    main()
