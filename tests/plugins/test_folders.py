"""MatteFolder, CutoutFolder and PhotographFolder on real, tiny files."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from zoo_plugins.datasets.folders import CutoutFolder, MatteFolder, PhotographFolder

from zoo.core.spec import build
from zoo.matting.data import EvaluationSamples, EvaluationSet, TrainingSamples, TrainingStage
from zoo.media.images import MediaError, write_image
from zoo.training.sampling import SampleKey

HEIGHT, WIDTH = 6, 8


def picture(seed: int, channels: int = 3) -> np.ndarray:
    shape = (HEIGHT, WIDTH, channels) if channels > 1 else (HEIGHT, WIDTH)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.fixture
def backgrounds(tmp_path: Path) -> Path:
    write_image(tmp_path / "bgr/indoors/room.png", picture(50))
    write_image(tmp_path / "bgr/street.png", picture(51))
    return tmp_path / "bgr"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number, name in enumerate(("anna/01", "anna/02", "ben")):
        write_image(tmp_path / f"train/fgr/{name}.png", picture(number))
        write_image(tmp_path / f"train/pha/{name}.png", picture(10 + number, 1))
    return tmp_path / "train"


@pytest.fixture
def cutouts(tmp_path: Path) -> Path:
    write_image(tmp_path / "cutouts/b.png", picture(1, 4))
    write_image(tmp_path / "cutouts/more/a.png", picture(2, 4))
    return tmp_path / "cutouts"


def matte_error(root: Path, backgrounds: Path, index: int = 2) -> str:
    """What reading one matte says; the dataset itself can be made, since nothing is opened then."""
    dataset = MatteFolder(str(root), str(backgrounds))
    with pytest.raises(MediaError) as caught:
        dataset.matte(index)
    return str(caught.value)


def test_mattes_are_the_files(root: Path, backgrounds: Path) -> None:
    dataset = MatteFolder(str(root), str(backgrounds))
    assert len(dataset) == 3
    foreground, alpha, name = dataset.matte(1)
    assert name == "anna/02"
    assert torch.equal(foreground, torch.from_numpy(picture(1)).permute(2, 0, 1))
    assert torch.equal(alpha, torch.from_numpy(picture(11, 1))[None])


def test_jpeg_and_png_mix(root: Path, backgrounds: Path) -> None:
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 200, np.uint8)).save(root / "fgr/ben.jpg")
    (root / "fgr/ben.png").unlink()
    foreground, alpha, _ = MatteFolder(str(root), str(backgrounds)).matte(2)
    assert (foreground.float() - 200).abs().max() <= 2
    assert alpha.shape == (1, HEIGHT, WIDTH)


def test_other_folder_names_and_absolute_paths(root: Path, backgrounds: Path, tmp_path: Path) -> None:
    (root / "fgr").rename(root / "images")
    (root / "pha").rename(tmp_path / "mattes")
    dataset = MatteFolder(str(root), str(backgrounds), foregrounds="images", alphas=str(tmp_path / "mattes"))
    assert dataset.matte(0).name == "anna/01"


def test_backgrounds_are_found_in_subfolders(root: Path, backgrounds: Path) -> None:
    dataset = MatteFolder(str(root), str(backgrounds))
    assert dataset.background_count == 2
    assert torch.equal(dataset.background(0), torch.from_numpy(picture(50)).permute(2, 0, 1))
    assert torch.equal(dataset.background(1), torch.from_numpy(picture(51)).permute(2, 0, 1))


def test_the_same_index_gives_the_same_tensors_in_any_copy(root: Path, backgrounds: Path) -> None:
    dataset = MatteFolder(str(root), str(backgrounds))
    for copy in (dataset, pickle.loads(pickle.dumps(dataset)), MatteFolder(str(root), str(backgrounds))):
        assert torch.equal(copy.matte(0).foreground, dataset.matte(0).foreground)
        assert copy.matte(0).name == dataset.matte(0).name


def test_specs_rebuild_the_datasets(root: Path, backgrounds: Path, cutouts: Path) -> None:
    for dataset in (MatteFolder(str(root), str(backgrounds)), CutoutFolder(str(cutouts), str(backgrounds))):
        again = build(dataset.spec)
        assert type(again) is type(dataset)
        assert torch.equal(again.matte(1).alpha, dataset.matte(1).alpha)


def test_sixteen_bit_alpha_is_not_truncated(root: Path, backgrounds: Path) -> None:
    values = np.linspace(0, 65535, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint16)
    Image.fromarray(values).save(root / "pha/ben.png")
    alpha = MatteFolder(str(root), str(backgrounds)).matte(2).alpha
    assert alpha.dtype == torch.float32
    torch.testing.assert_close(alpha[0], torch.from_numpy(values / 65535).float())


def test_names_are_compared_when_the_dataset_is_made(root: Path, backgrounds: Path) -> None:
    (root / "pha/ben.png").unlink()
    with pytest.raises(MediaError, match=r"1 foreground without alpha \(ben\)"):
        MatteFolder(str(root), str(backgrounds))


def test_missing_and_empty_backgrounds(root: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="nowhere is not a folder"):
        MatteFolder(str(root), str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(MediaError, match="empty holds no image"):
        MatteFolder(str(root), str(tmp_path / "empty"))


def test_alpha_of_another_size(root: Path, backgrounds: Path) -> None:
    write_image(root / "pha/ben.png", np.zeros((HEIGHT, WIDTH + 1), np.uint8))
    message = matte_error(root, backgrounds)
    assert "ben.png is 8×6 but" in message
    assert "is 9×6" in message


def test_alpha_with_three_channels(root: Path, backgrounds: Path) -> None:
    write_image(root / "pha/ben.png", picture(3))
    assert "pha/ben.png is a matte with 3 differing channels" in matte_error(root, backgrounds)


def test_truncated_foreground(root: Path, backgrounds: Path) -> None:
    write_image(root / "fgr/ben.png", np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8))
    whole = (root / "fgr/ben.png").read_bytes()
    (root / "fgr/ben.png").write_bytes(whole[: len(whole) // 2])
    message = matte_error(root, backgrounds)
    assert "fgr/ben.png is truncated" in message
    assert "expected a whole image" in message


def test_cmyk_foreground(root: Path, backgrounds: Path) -> None:
    (root / "fgr/ben.png").unlink()
    Image.new("CMYK", (WIDTH, HEIGHT)).save(root / "fgr/ben.jpg")
    message = matte_error(root, backgrounds)
    assert "fgr/ben.jpg holds CMYK pixels" in message
    assert "convert it to sRGB" in message


def test_cutouts_split_into_colours_and_alpha(cutouts: Path, backgrounds: Path) -> None:
    dataset = CutoutFolder(str(cutouts), str(backgrounds))
    assert len(dataset) == 2
    foreground, alpha, name = dataset.matte(1)
    pixels = torch.from_numpy(picture(2, 4)).permute(2, 0, 1)
    assert name == "more/a"
    assert torch.equal(foreground, pixels[:3])  # straight colours, also where alpha is 0
    assert torch.equal(alpha, pixels[3:])


def test_cutout_without_alpha(cutouts: Path, backgrounds: Path) -> None:
    write_image(cutouts / "b.png", picture(1))
    with pytest.raises(MediaError, match="no alpha channel; expected an RGBA cut-out"):
        CutoutFolder(str(cutouts), str(backgrounds)).matte(0)


def test_backgrounds_among_the_cutouts_are_refused(cutouts: Path) -> None:
    write_image(cutouts / "places/room.png", picture(4))
    with pytest.raises(MediaError, match=r"places lies in the cut-outs' folder .* move one of them"):
        CutoutFolder(str(cutouts), str(cutouts / "places"))


def test_training_reads_large_jpeg_backgrounds_small_and_evaluation_whole(root: Path, tmp_path: Path) -> None:
    (tmp_path / "places").mkdir()
    Image.new("RGB", (640, 480), "teal").save(tmp_path / "places/room.jpg")
    dataset = MatteFolder(root=str(root), backgrounds=str(tmp_path / "places"))
    training = TrainingSamples(dataset, canvas=100, seed=0)
    assert training.dataset.background(0).shape == (3, 120, 160)
    assert training[SampleKey(0, 0)].background.shape == (3, 100, 100)
    assert dataset.background(0).shape == (3, 480, 640)  # an evaluation may have the same


def test_fingerprints_tell_what_was_read(root: Path, backgrounds: Path, cutouts: Path) -> None:
    for dataset, file in (
        (MatteFolder(str(root), str(backgrounds)), root / "pha/anna/02.png"),
        (CutoutFolder(str(cutouts), str(backgrounds)), cutouts / "more/a.png"),
    ):
        before = [dataset.fingerprint(index) for index in range(2)]
        assert before == [dataset.fingerprint(index) for index in range(2)]
        file.write_bytes(file.read_bytes() + b" ")
        after = [dataset.fingerprint(index) for index in range(2)]
        assert after[0] == before[0]
        assert after[1] != before[1]


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    for number, name in enumerate(("a", "b")):
        for kind, channels in (("image", 3), ("alpha", 1), ("empty", 3)):
            write_image(tmp_path / f"real/{kind}/{name}.png", picture(number + 10 * channels + len(kind), channels))
    return tmp_path / "real"


def test_photographs_are_measured_as_they_are(photographs: Path) -> None:
    sample = EvaluationSamples(EvaluationSet(PhotographFolder(str(photographs), backgrounds="empty")))[1]
    for image, kind in ((sample.source, "image"), (sample.background, "empty")):
        pixels = torch.from_numpy(np.array(Image.open(photographs / kind / "b.png"))).permute(2, 0, 1)
        assert torch.equal(image, pixels / 255)
    assert sample.foreground.isnan().all()
    alone = EvaluationSamples(EvaluationSet(PhotographFolder(str(photographs))))[0]
    assert not alone.background.any()


def test_photographs_are_no_training_data_and_have_one_background(photographs: Path) -> None:
    dataset = PhotographFolder(str(photographs), backgrounds="empty")
    with pytest.raises(ValueError, match="holds finished photographs, which cannot be put on other backgrounds"):
        TrainingStage(dataset, canvas=8)
    with pytest.raises(ValueError, match="backgrounds_each=2: expected 1 with PhotographFolder"):
        EvaluationSet(dataset, backgrounds_each=2)
    (photographs / "empty/b.png").unlink()
    with pytest.raises(MediaError, match="b"):
        PhotographFolder(str(photographs), backgrounds="empty")
    with pytest.raises(MediaError, match="expected the photographs in it: check the path, or name the subfolder with"):
        PhotographFolder(str(photographs), photographs="pictures")
