"""The background of a clip: right where the person moved away, painted elsewhere, refused where nobody moves."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from skimage.filters import gaussian
from skimage.transform import ProjectiveTransform
from zoo_plugins.datasets.synthetic import SyntheticMattes
from zoo_plugins.guides import PersonGuide

from zoo.cli import main
from zoo.matting.compose import to_float
from zoo.matting.estimate import background_of, canvas, estimate_background, painted, person_mask
from zoo.matting.inference import video_background
from zoo.matting.moving_camera import MovingCamera, view_of
from zoo.media.images import MediaError, MediaWarning, read_image

HEIGHT, WIDTH, SIDE = 160, 240, 110


@pytest.fixture(scope="module")
def place() -> np.ndarray:
    """A rendered room with a rough wall, larger than a frame."""
    size = (WIDTH + 16, HEIGHT + 16)
    room = to_float(SyntheticMattes(split="test", count=1, backgrounds=2, size=320).background(1))
    room = np.asarray(Image.fromarray((room * 255).byte().permute(1, 2, 0).numpy()).resize(size), np.float32)
    rough = gaussian(np.random.default_rng(1).normal(0, 100, room.shape[:2]), 1.5)[..., None]
    return (room + rough).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def person() -> tuple[np.ndarray, np.ndarray]:
    """The astronaut's head and shoulders, and her alpha."""
    with torch.no_grad():
        mask = PersonGuide()(torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None] / 255)[0, 0, :150, 35:175]
    alpha = Image.fromarray((mask > 0.5).byte().numpy() * 255).resize((SIDE, SIDE))
    colours = Image.fromarray(data.astronaut()[:300, 70:350]).resize((SIDE, SIDE))
    return np.asarray(colours, np.float32), np.asarray(alpha, np.float32)[..., None] / 255


def shifts(count: int, shake: int) -> list[tuple[int, int]]:
    """How far down and right a hand moves the camera in each frame; in the middle one not at all."""
    rng = np.random.default_rng(0)
    moved = [(int(down), int(right)) for down, right in rng.integers(-shake, shake + 1, (count, 2))]
    moved[count // 2] = (0, 0)
    return moved


def rendered(place: np.ndarray, person: tuple[np.ndarray, np.ndarray], walk: int, shake: int = 0) -> list[np.ndarray]:
    """Frames in which the person walks to the right by this many pixels, and the camera moves by up to `shake`."""
    rng = np.random.default_rng(1)
    frames = []
    for number, (down, right) in enumerate(shifts(9, shake)):
        frame = place[8 + down : 8 + down + HEIGHT, 8 + right : 8 + right + WIDTH].astype(np.float32)
        left = round(walk * number / 8)
        behind = frame[-SIDE:, left : left + SIDE]
        behind += person[1] * (person[0] - behind)
        frames.append((frame + rng.normal(0, 1.5, frame.shape)).clip(0, 255).round().astype(np.uint8))
    return frames


def write_clip(path: Path, frames: list[np.ndarray]) -> Path:
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=5, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv444p"
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        file.mux(stream.encode())
    return path


@pytest.mark.parametrize("shake", [0, 4], ids=["still", "hand-held"])
def test_what_is_seen_is_right(place: np.ndarray, person: tuple[np.ndarray, np.ndarray], shake: int) -> None:
    frames = rendered(place, person, walk=WIDTH - SIDE, shake=shake)
    guide = PersonGuide()
    background, hidden = background_of(frames, [person_mask(guide, frame) for frame in frames])
    error = np.abs(background.astype(float) - place[8:-8, 8:-8])
    assert hidden.mean() < 0.1
    assert error[~hidden].mean() <= 2


@pytest.fixture(scope="module")
def street() -> np.ndarray:
    """Rough rooms side by side, as wide as a camera sees that turns."""
    dataset = SyntheticMattes(split="test", count=1, backgrounds=3, size=320)
    rooms = torch.cat([to_float(dataset.background(index))[:, :HEIGHT] for index in range(2)], 2)
    rough = gaussian(np.random.default_rng(2).normal(0, 100, rooms.shape[1:]), 1.5)[..., None]
    return ((rooms * 255).permute(1, 2, 0).numpy() + rough).clip(0, 255).astype(np.uint8)


def turning(street: np.ndarray, person: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
    """Frames of a camera that turns by 30 pixels each, while the person walks across them."""
    frames = []
    for number in range(9):
        frame = street[:, 20 + 30 * number : 20 + 30 * number + WIDTH].astype(np.float32)
        left = round((WIDTH - SIDE) * (1 - number / 8))
        behind = frame[-SIDE:, left : left + SIDE]
        behind += person[1] * (person[0] - behind)
        frames.append(frame.clip(0, 255).round().astype(np.uint8))
    return frames


def test_a_camera_that_turns_gives_a_panorama(street: np.ndarray, person: tuple[np.ndarray, np.ndarray]) -> None:
    frames, guide = turning(street, person), PersonGuide()
    background, hidden = background_of(frames, [person_mask(guide, frame) for frame in frames])
    assert background.shape[1] == pytest.approx(WIDTH + 8 * 30, abs=4)
    view = view_of(frames[0], background)
    assert view is not None
    camera = MovingCamera(background, view)
    for number, frame in enumerate(frames):
        seen = camera.seen_in(frame)
        left = 20 + 30 * number
        error = np.abs(seen.astype(float) - street[:, left : left + WIDTH])
        assert np.median(error) <= 4  # a half pixel of a rough wall
    assert hidden.mean() < 0.1


def test_a_video_is_aligned_once_or_frame_by_frame_as_its_camera_moves(
    place: np.ndarray, street: np.ndarray, person: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    still = write_clip(tmp_path / "still.mp4", rendered(place, person, walk=60))
    held = write_clip(tmp_path / "held.mp4", rendered(place, person, walk=60, shake=4) * 2)  # longer than two seconds
    turned = write_clip(tmp_path / "turned.mp4", turning(street, person))
    Image.fromarray(place[8:-8, 8:-8]).save(tmp_path / "place.png")
    Image.fromarray(street).save(tmp_path / "street.png")
    assert isinstance(video_background(still, tmp_path / "place.png", "auto", None), np.ndarray)
    with pytest.warns(MediaWarning, match=r"the camera of held\.mp4 moves, so the background is aligned with"):
        camera = video_background(held, tmp_path / "place.png", "auto", None)
    assert isinstance(camera, MovingCamera)
    for frame, (down, right) in zip(rendered(place, person, walk=60, shake=4), shifts(9, 4), strict=True):
        shown = place[8 + down : 8 + down + HEIGHT, 8 + right : 8 + right + WIDTH]
        assert np.median(np.abs(camera.seen_in(frame).astype(float) - shown)) <= 4
    assert isinstance(video_background(turned, tmp_path / "street.png", "auto", None), MovingCamera)
    assert isinstance(video_background(held, tmp_path / "place.png", False, None), np.ndarray)


def test_a_camera_that_turns_too_far_is_refused() -> None:
    far = ProjectiveTransform(np.array([[1, 0, -900], [0, 1, 0], [0, 0, 1.0]]))
    with pytest.raises(MediaError, match=r"turns so far .* 1100×100 pixels, 5.5 by 1.0 frames; expected at most 4"):
        canvas([ProjectiveTransform(), far], (100, 200))


def test_what_is_never_seen_is_painted_from_around() -> None:
    known = torch.ones(1, 1, 9, 12, dtype=torch.bool)
    known[:, :, 2:7, 3:9] = False
    image = torch.full((1, 3, 9, 12), 0.25).masked_fill(~known, 1.0)
    assert torch.equal(painted(image, known), torch.full_like(image, 0.25))


def test_a_person_who_does_not_move_is_refused(
    place: np.ndarray, person: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "still.mp4", rendered(place, person, walk=3))
    with pytest.raises(MediaError, match=r"the person in .*still\.mp4 hardly moves: \d+% of what.*give BACKGROUND"):
        estimate_background(clip)


def test_a_clip_is_matted_with_its_own_background(
    place: np.ndarray,
    person: tuple[np.ndarray, np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_clip(Path("clip.mp4"), rendered(place, person, walk=WIDTH - SIDE))
    Image.fromarray(place[8:-8, 8:-8]).save("place.png")
    common = ("clip.mp4", "--save", "alpha", "--frames", "--device", "cpu")
    assert main(["matte", *common, "--background", "estimate", "-o", "own"]) == 0
    assert (
        "Background of 9 frames in own/background/clip.png, to give as BACKGROUND next time" in capsys.readouterr().out
    )
    assert main(["matte", *common[:1], "place.png", *common[1:], "-o", "true"]) == 0
    mattes = [read_image(f"{folder}/alpha/clip/000004.png", "L") / 255 for folder in ("own", "true")]
    assert np.abs(mattes[0] - mattes[1]).mean() < 0.1 * mattes[1].mean()
    for arguments, words in (
        (("clip.mp4", "place.png"), "got BACKGROUND place.png and --background estimate; expected one"),
        (("place.png",), "needs a video in which the person moves, and place.png is none: give BACKGROUND"),
    ):
        assert main(["matte", *arguments, "--background", "estimate", "-o", "other"]) != 0
        assert words in capsys.readouterr().err
