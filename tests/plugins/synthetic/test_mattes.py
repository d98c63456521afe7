"""Synthetic mattes: exact alpha, right colours, unseen photographs, a cache that can be trusted."""

import socket
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from zoo_plugins.datasets.synthetic import SyntheticMattes
from zoo_plugins.synthetic.drawing.backgrounds import generate_background
from zoo_plugins.synthetic.drawing.canvas import SAMPLES, Canvas, Light, View
from zoo_plugins.synthetic.drawing.curves import ellipse, limb
from zoo_plugins.synthetic.drawing.layers import defocus, extrapolate, motion_blur, over, to_straight
from zoo_plugins.synthetic.drawing.photographs import ATTRIBUTION, HELD_OUT, PHOTOGRAPHS, Photographs, _read, folder
from zoo_plugins.synthetic.mattes.clutter import add_clutter
from zoo_plugins.synthetic.mattes.matte import MatteOptions, generate_matte

from zoo.core.files import cache_directory
from zoo.matting.folders import write_mattes
from zoo.media.cache import ArrayCache
from zoo.media.images import MediaError, read_image

PIXELS = View(1.0, 0.0, 0.0)
SPLITS = ("train", "validation", "test")


def canvas(size: int = 32) -> Canvas:
    return Canvas(size, PIXELS, Light())


def composite(matte: np.ndarray, background: np.ndarray) -> np.ndarray:
    alpha = matte[..., 3:] / 255
    return alpha * matte[..., :3] / 255 + (1 - alpha) * background


# Alpha is the area that a shape covers.


@pytest.mark.parametrize("radius", [1.7, 5.3, 24.0])
def test_a_disc_covers_its_area(radius: float) -> None:
    drawing = canvas(64)
    centre = (31.3, 32.9)
    drawing.fill(ellipse(centre, radius, count=300), drawing.paint((1, 1, 1)))
    alpha = drawing.layer()[..., 3]
    places = (np.arange(64 * 16) + 0.5) / 16
    fine = (places - centre[0]) ** 2 + (places[:, None] - centre[1]) ** 2 < radius**2
    reference = fine.reshape(64, 16, 64, 16).mean(axis=(1, 3))
    assert alpha.sum() == pytest.approx(np.pi * radius**2, rel=0.02 if radius < 2 else 0.002)
    assert np.abs(alpha - reference).max() <= 2.5 / SAMPLES**2


def test_a_slanted_half_plane_has_no_bias() -> None:
    drawing = canvas()
    drawing.fill([(-40.0, -5.0), (-40.0, 60.0), (50.0, 60.0), (50.0, 21.3)], drawing.paint((1, 1, 1)))
    columns = np.arange(32) + 0.5
    edge = -5 + 26.3 * (columns + 40) / 90
    np.testing.assert_allclose(drawing.layer()[..., 3].sum(axis=0), 32 - edge, atol=0.13)


def test_an_outline_that_crosses_itself_has_no_hole() -> None:
    drawing = canvas()
    sharp_bend = limb([(6, 26), (16, 6), (20, 28)], [5, 5, 5])
    drawing.fill(sharp_bend, drawing.paint((1, 1, 1)))
    alpha = drawing.layer()[..., 3]
    assert alpha[9, 16] == 1
    assert alpha[26, 7] == 1


def test_parts_that_touch_have_no_seam() -> None:
    drawing = canvas()
    left, right = drawing.paint((1, 0, 0)), drawing.paint((0, 0, 1))
    drawing.fill([(2, 2), (13.37, 2), (19.1, 30), (2, 30)], left)
    drawing.fill([(13.37, 2), (30, 2), (30, 30), (19.1, 30)], right)
    layer = drawing.layer()
    assert (layer[3:29, 3:29, 3] == 1).all()
    np.testing.assert_allclose(layer[3:29, 3:29, 0] + layer[3:29, 3:29, 2], 1, atol=1e-6)


def test_a_hole_lets_everything_through() -> None:
    drawing = canvas()
    drawing.fill(ellipse((16, 16), 12), drawing.paint((1, 1, 1)))
    drawing.fill(ellipse((16, 16), 5), 0)
    alpha = drawing.layer()[..., 3]
    assert alpha[16, 16] == 0
    assert alpha[16, 24] == 1


def test_what_is_drawn_later_hides_what_was_drawn_before() -> None:
    drawing = canvas()
    drawing.fill([(0, 0), (32, 0), (32, 32), (0, 32)], drawing.paint((1, 0, 0)))
    drawing.line([(0, 16), (32, 16)], 4, drawing.paint((0, 1, 0)))
    layer = drawing.layer()
    assert layer[16, 16].tolist() == [0, 1, 0, 1]
    assert (layer[..., 3] == 1).all()


def test_a_shape_outside_the_picture_is_drawn_as_nothing() -> None:
    drawing = canvas()
    drawing.fill(ellipse((-50, 500), 12), drawing.paint((1, 1, 1)))
    assert not drawing.layer().any()


def test_relief_changes_colours_and_not_alpha() -> None:
    flat, round_ = canvas(), canvas()
    flat.fill(ellipse((16, 16), 12), flat.paint((0.5, 0.5, 0.5)))
    round_.fill(ellipse((16, 16), 12), round_.paint((0.5, 0.5, 0.5), relief=6))
    assert np.array_equal(flat.layer()[..., 3], round_.layer()[..., 3])
    assert round_.layer()[16, 4:28, 0].std() > 0.02


# Colours are right wherever alpha is partial.


def soft_layer(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    alpha = rng.random((12, 12, 1), np.float32) * (rng.random((12, 12, 1)) > 0.3)
    return np.concatenate([alpha * rng.random((12, 12, 3), np.float32), alpha], axis=-1).astype(np.float32)


def test_the_straight_colour_composites_as_the_premultiplied_layer_does() -> None:
    layer = over(soft_layer(0), soft_layer(1))
    background = np.random.default_rng(2).random((12, 12, 3))
    expected = layer[..., :3] + (1 - layer[..., 3:]) * background
    np.testing.assert_allclose(composite(to_straight(layer), background), expected, atol=1.1 / 255)


def test_colours_continue_where_there_is_no_foreground() -> None:
    drawing = canvas()
    drawing.fill(ellipse((10, 16), 6), drawing.paint((0.8, 0.2, 0.2)))
    drawing.fill(ellipse((26, 16), 3), drawing.paint((0.2, 0.2, 0.8)))
    straight = to_straight(drawing.layer())
    assert straight[..., :3].min() >= 50
    assert straight[16, 1, 0] > 190
    assert straight[16, 30, 2] > 190


def test_known_colours_are_kept_when_the_others_are_continued() -> None:
    colour = np.random.default_rng(0).random((7, 5, 3)).astype(np.float32)
    known = np.zeros((7, 5, 1), np.float32)
    known[2, 3] = known[6, 0] = 1
    extended = extrapolate(colour, known)
    assert np.array_equal(extended[2, 3], colour[2, 3])
    assert np.array_equal(extended[6, 0], colour[6, 0])
    low, high = np.minimum(colour[2, 3], colour[6, 0]), np.maximum(colour[2, 3], colour[6, 0])
    assert ((extended >= low - 1e-6) & (extended <= high + 1e-6)).all()


@pytest.mark.parametrize("blur", [lambda layer: motion_blur(layer, 7, -4), lambda layer: defocus(layer, 3.4)])
def test_blur_spreads_alpha_and_leaves_the_colour(blur) -> None:
    drawing = canvas()
    drawing.fill(ellipse((16, 16), 6), drawing.paint((0.8, 0.4, 0.2)))
    sharp, blurred = drawing.layer(), blur(drawing.layer())
    assert blurred[..., 3].sum() == pytest.approx(sharp[..., 3].sum(), rel=1e-5)
    assert ((blurred[..., 3] > 0.01) & (blurred[..., 3] < 0.99)).sum() > 1.5 * (sharp[..., 3] % 1 > 0).sum()
    colours = blurred[blurred[..., 3] > 0.01]
    np.testing.assert_allclose(colours[:, :3] / colours[:, 3:], np.tile([0.8, 0.4, 0.2], (len(colours), 1)), atol=1e-4)


def test_a_subject_that_the_frame_cuts_does_not_fade_there() -> None:
    layer = np.ones((16, 16, 4), np.float32)
    assert (motion_blur(layer, 9, 5) == 1).all()
    np.testing.assert_allclose(defocus(layer, 4), 1, atol=1e-6)


# Mattes.


def test_the_same_index_gives_the_same_matte_and_any_other_key_another() -> None:
    options = MatteOptions(64)
    matte = generate_matte(0, Photographs("train"), 3, options)
    assert np.array_equal(matte, generate_matte(0, Photographs("train"), 3, options))
    for other in (
        generate_matte(0, Photographs("train"), 4, options),
        generate_matte(1, Photographs("train"), 3, options),
        generate_matte(0, Photographs("test"), 3, options),
    ):
        assert not np.array_equal(matte, other)


def test_every_matte_has_a_subject_and_a_background() -> None:
    for index in range(24):
        alpha = generate_matte(0, Photographs("train"), index, MatteOptions(96, people=0.5))[..., 3]
        assert alpha.max() == 255 or (alpha > 60).sum() > 50
        assert (alpha == 0).mean() > 0.02


def soft_share(detail: float) -> float:
    options = MatteOptions(128, people=1.0, detail=detail)
    alphas = np.stack([generate_matte(0, Photographs("train"), index, options)[..., 3] for index in range(8)])
    return float(((alphas > 5) & (alphas < 250)).sum() / (alphas > 5).sum())


def test_hair_makes_a_real_share_of_alpha_soft() -> None:
    fine = soft_share(1.0)
    assert 0.08 < fine < 0.6
    assert soft_share(0.05) < fine


def test_frames_of_a_clip_show_one_subject_that_moves() -> None:
    options = MatteOptions(96, people=1.0, frames=3)
    first, second, third, next_clip = (
        generate_matte(5, Photographs("train"), index, options)[..., 3] for index in range(4)
    )
    assert not np.array_equal(first, second)
    same = np.abs(first.astype(int) - second).mean()
    assert same < np.abs(first.astype(int) - third).mean() < np.abs(first.astype(int) - next_clip).mean()


def test_people_is_the_share_of_persons(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    layer = np.zeros((32, 32, 4), np.float32)
    monkeypatch.setattr("zoo_plugins.synthetic.mattes.matte.render_person", lambda *_: drawn.append("person") or layer)
    monkeypatch.setattr("zoo_plugins.synthetic.mattes.matte.render_thing", lambda *_: drawn.append("thing") or layer)
    monkeypatch.setattr("zoo_plugins.synthetic.mattes.matte.COMPANION_FRACTION", 0.0)
    for index in range(200):
        generate_matte(0, Photographs("train"), index, MatteOptions(32, people=0.8))
    assert 0.7 < drawn.count("person") / len(drawn) < 0.9


def test_patches_change_colours_inside_a_subject_and_never_its_alpha() -> None:
    for index in range(5, 11):
        plain = generate_matte(0, Photographs("train"), index, MatteOptions(64))
        patched = generate_matte(0, Photographs("train"), index, MatteOptions(64, patches=1.0))
        assert np.array_equal(plain[..., 3], patched[..., 3])
        opaque = plain[..., 3] > 229
        changed = (plain[..., :3] != patched[..., :3]).any(axis=2)
        assert opaque.mean() < 0.1 or 0.001 < changed[opaque].mean() < 0.95  # gauze is nowhere opaque


def test_patches_is_the_share_of_subjects_that_carry_some() -> None:
    def carries(index: int, share: float) -> bool:
        matte = generate_matte(0, Photographs("train"), index, MatteOptions(32, detail=0.1, patches=share))
        return not np.array_equal(matte, generate_matte(0, Photographs("train"), index, MatteOptions(32, detail=0.1)))

    assert 8 < sum(carries(index, 0.5) for index in range(30)) < 22


# Backgrounds and photographs.


def test_clutter_is_the_share_of_backgrounds_in_which_things_stand() -> None:
    room = np.full((48, 48, 3), 128, np.uint8)
    cluttered = [add_clutter(room, 0, Photographs("train"), index, 0.5) for index in range(30)]
    assert 8 < sum(not np.array_equal(image, room) for image in cluttered) < 22
    assert any((image == 128).all(axis=2).mean() > 0.2 for image in cluttered if not np.array_equal(image, room))
    assert np.array_equal(add_clutter(room, 0, Photographs("train"), 0, 0.0), room)


def test_backgrounds_differ_and_repeat() -> None:
    first = generate_background(0, Photographs("train"), 0, 64)
    assert first.shape == (64, 64, 3)
    assert np.array_equal(first, generate_background(0, Photographs("train"), 0, 64))
    assert not np.array_equal(first, generate_background(0, Photographs("train"), 1, 64))
    assert not np.array_equal(first, generate_background(0, Photographs("validation"), 0, 64))


def test_no_two_splits_share_a_photograph_and_none_has_one_that_is_held_out() -> None:
    everything = [name for names in PHOTOGRAPHS.values() for name in names] + list(HELD_OUT)
    assert len(everything) == len(set(everything))
    assert {Path(name).stem for name in HELD_OUT} >= {"astronaut", "chelsea", "motorcycle_left", "rocket"}


def test_every_photograph_is_installed_and_attributed() -> None:
    for names in PHOTOGRAPHS.values():
        for name in names:
            assert (folder() / name).is_file()
            assert ATTRIBUTION[name]


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_opens_its_own_photographs_only_and_no_connection(split: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = set()
    real = Image.open

    def spy(path, *args, **kwargs):
        opened.add(Path(path).name)
        return real(path, *args, **kwargs)

    def no_network(*_):
        raise AssertionError("a connection was opened")

    _read.cache_clear()
    monkeypatch.setattr(Image, "open", spy)
    monkeypatch.setattr(socket.socket, "connect", no_network)
    for index in range(20):
        generate_background(0, Photographs(split), index, 48)
        generate_matte(0, Photographs(split), index, MatteOptions(48))
    assert opened
    assert opened <= set(PHOTOGRAPHS[split])


def test_a_folder_gives_most_backgrounds_and_is_named(tmp_path: Path) -> None:
    Image.new("RGB", (80, 80), (250, 10, 20)).save(tmp_path / "red.png")
    (tmp_path / "ATTRIBUTION.txt").write_text("red.png: somebody, CC0 1.0\n", encoding="utf-8")
    dataset = SyntheticMattes(
        count=1, backgrounds=40, size=32, photographs=str(tmp_path), cache=str(tmp_path / "cache")
    )
    images = [dataset.background(index).float() for index in range(40)]
    red = sum(bool(image[0].mean() > 4 * image[1:].mean()) for image in images)
    assert red >= 20
    assert dataset.notice[-1] == "red.png: somebody, CC0 1.0"
    with pytest.raises(MediaError, match="holds no image"):
        SyntheticMattes(photographs=str(tmp_path / "cache"))


# The cache.


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (16, 16, 4), np.uint8)


def cached(cache: ArrayCache, name: str, image: np.ndarray, generate: bool = True) -> np.ndarray:
    """Return an image from the cache, usable if it has the shape of `image`, which is generated otherwise."""

    def usable(arrays: dict[str, np.ndarray]) -> bool:
        return "picture" in arrays and arrays["picture"].shape == image.shape

    def fill() -> dict[str, np.ndarray]:
        return {"picture": image.copy()} if generate else pytest.fail("generated again")

    return cache.get_arrays(name, usable, fill)["picture"]


def test_a_cached_image_is_read_and_not_generated_again(tmp_path: Path, image: np.ndarray) -> None:
    assert np.array_equal(cached(ArrayCache(str(tmp_path), "mattes", {"size": 16}), "0", image), image)
    again = cached(ArrayCache(str(tmp_path), "mattes", {"size": 16}), "0", image, generate=False)
    assert np.array_equal(again, image)


def test_other_settings_never_meet(tmp_path: Path, image: np.ndarray) -> None:
    cached(ArrayCache(str(tmp_path), "mattes", {"seed": 0}), "0", image)
    assert not cached(ArrayCache(str(tmp_path), "mattes", {"seed": 1}), "0", image * 0).any()


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "text", "other shape"])
def test_a_damaged_file_is_generated_anew(tmp_path: Path, image: np.ndarray, damage: str) -> None:
    cache = ArrayCache(str(tmp_path), "mattes", {})
    cached(cache, "0", image)
    path = cache.folder / "0.npz"
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "text":
        path.write_text("not an image")
    else:
        cached(cache, "1", np.zeros((2, 2), np.uint8))
        (cache.folder / "1.npz").replace(path)
    assert np.array_equal(cached(cache, "0", image), image)
    assert np.array_equal(cached(cache, "0", image, generate=False), image)


def test_many_may_fill_one_cache_at_once(tmp_path: Path, image: np.ndarray) -> None:
    results = []

    def fill() -> None:
        cache = ArrayCache(str(tmp_path), "mattes", {})
        results.extend(cached(cache, str(name), image) for name in range(10))

    threads = [threading.Thread(target=fill) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 80
    assert all(np.array_equal(result, image) for result in results)
    assert sorted(path.suffix for path in tmp_path.rglob("*.*")) == [".npz"] * 10


def test_a_cache_that_cannot_be_written_warns_once_and_works(tmp_path: Path, image: np.ndarray) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = ArrayCache(str(tmp_path / "file"), "mattes", {})
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        images = [cached(cache, "0", image) for _ in range(3)]
    assert all(np.array_equal(each, image) for each in images)
    assert len(warned) == 1
    assert str(cache.folder) in str(warned[0].message)


def test_the_environment_says_where_caches_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    assert cache_directory() == tmp_path
    assert ArrayCache(None, "mattes", {}).folder.parent == tmp_path / "synthetic"
    monkeypatch.delenv("ZOO_CACHE")
    assert cache_directory().name == "ablation-zoo"


def test_the_caches_of_one_version_of_the_generator_keep_their_names(tmp_path: Path) -> None:
    dataset = SyntheticMattes(count=1, size=64, seed=5, cache=str(tmp_path))
    folders = [dataset._mattes.folder.name, dataset._backgrounds.folder.name]
    assert folders == ["mattes-train-64-57214924a8561c6a", "backgrounds-train-64-bedecb80fdc4a4ea"]


# Files.


def write(directory: Path, counts: dict[str, int], size: int, seed: int) -> None:
    cache = str(directory.parent / "cache")
    datasets = {
        split: SyntheticMattes(split, count, size, count, seed, cache=cache)  # type: ignore[arg-type]
        for split, count in counts.items()
    }
    write_mattes(directory, datasets, counts)


def test_a_written_dataset_holds_the_same_pictures(tmp_path: Path) -> None:
    root = tmp_path / "out"
    write(root, {"train": 2, "test": 1}, size=48, seed=3)
    names = {path.relative_to(root).as_posix() for path in root.rglob("*.*")}
    kinds = ("fgr", "pha", "bgr")
    expected = {f"train/{kind}/{name}" for kind in kinds for name in ("0000.png", "0001.png")}
    assert names == expected | {f"test/{kind}/0000.png" for kind in kinds} | {"README.txt"}
    matte = generate_matte(3, Photographs("train"), 1, MatteOptions(48))
    with Image.open(root / "train/pha/0001.png") as alpha, Image.open(root / "train/fgr/0001.png") as foreground:
        assert (alpha.mode, foreground.mode) == ("L", "RGB")
        assert np.array_equal(np.asarray(alpha), matte[..., 3])
        assert np.array_equal(np.asarray(foreground), matte[..., :3])
    background = read_image(root / "test/bgr/0000.png")
    assert np.array_equal(np.asarray(background), generate_background(3, Photographs("test"), 0, 48))


def test_the_dataset_says_that_it_is_synthetic_and_whose_photographs_it_shows(tmp_path: Path) -> None:
    write(tmp_path / "out", {"validation": 1}, size=32, seed=0)
    text = (tmp_path / "out/README.txt").read_text(encoding="utf-8")
    assert "Synthetic" in text
    assert all(name in text and ATTRIBUTION[name] in text for name in PHOTOGRAPHS["validation"])
    assert "camera.png" not in text


def test_writing_may_be_started_again_but_not_over_other_pictures(tmp_path: Path) -> None:
    root = tmp_path / "out"
    write(root, {"train": 2}, size=32, seed=0)
    (root / "train/fgr/0001.png").unlink()
    write(root, {"train": 2}, size=32, seed=0)
    assert (root / "train/fgr/0001.png").is_file()
    with pytest.raises(MediaError, match=r"0001\.png"):
        write(root, {"train": 1}, size=32, seed=0)
