"""Mattes from files: what lands where, with which values; what is refused beforehand; what survives."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import zoo
from zoo.matting.fast import FastMatting
from zoo.matting.inference import (
    Matting,
    MattingWarning,
    load_matting,
    matte_files,
)
from zoo.matting.matte_files import KINDS, MatteFiles, render
from zoo.matting.parts import MattingOutput
from zoo.media.images import MediaError, read_image

SIZE = (54, 70)  # no multiples of 4
RANDOM = np.random.default_rng(0)
PLACE = RANDOM.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
PERSON = np.s_[10:40, 20:50]
COLOUR = (250, 20, 120)


def difference_model(source, background):
    """A stand-in: opaque where source and background differ much, half transparent where they differ a little."""
    difference = (source - background).abs().amax(dim=1, keepdim=True)
    alpha = (difference > 0.01).float() * 0.5 + (difference > 0.1).float() * 0.5
    cells = -(-source.shape[2] // 4), -(-source.shape[3] // 4)
    refined = torch.zeros(len(source), 1, *cells)
    refined[:, :, 0, 0] = 1
    coarse = nn.functional.avg_pool2d(alpha, 2)
    return MattingOutput(alpha, source, coarse, source[:, :, ::2, ::2], coarse, refined)


def source_picture(place=PLACE):
    picture = place.copy()
    picture[PERSON] = COLOUR
    return picture


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def pair(tmp_path):
    return save(tmp_path / "in" / "me.now.png", source_picture()), save(tmp_path / "in" / "empty.png", PLACE)


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", MattingWarning)
        yield


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def person_mask():
    mask = np.zeros(SIZE, bool)
    mask[PERSON] = True
    return mask


def test_one_picture_lands_in_one_folder_a_kind(pair, tmp_path):
    written = matte_files(difference_model, *pair, MatteFiles(tmp_path / "out", KINDS))
    assert files_in(tmp_path / "out") == sorted(f"{kind}/me.now.png" for kind in KINDS)
    assert sorted(written) == sorted(tmp_path / "out" / kind / "me.now.png" for kind in KINDS)
    for path in written:
        with Image.open(path) as image:
            assert image.size == SIZE[::-1]


def test_every_kind_holds_what_it_says(pair, tmp_path):
    matte_files(difference_model, *pair, MatteFiles(tmp_path, KINDS, new_background="#0000ff"))

    def read(kind, mode="RGB"):
        return read_image(tmp_path / kind / "me.now.png", mode)

    mask = person_mask()
    alpha = read("alpha", "L")
    assert (alpha[mask] == 255).mean() > 0.95
    assert (alpha[~mask] == 0).all()
    assert (read("foreground") == source_picture()).all()
    assert (read("rgba", "RGBA")[:, :, 3] == alpha).all()
    assert (read("rgba", "RGBA")[:, :, :3][alpha == 0] == 0).all()
    assert (read("composite")[alpha == 255] == COLOUR).all()
    assert (read("composite")[alpha == 0] == (0, 0, 255)).all()
    refined = read("refined", "L")
    assert (refined[:4, :4] == 255).all()
    assert refined.sum() == 16 * 255


def test_composites_round_and_need_no_new_background(pair, tmp_path):
    def half(source, background):
        output = difference_model(source, background)
        return output._replace(alpha=torch.full_like(output.alpha, 0.4), foreground=torch.zeros_like(source))

    matte_files(half, *pair, MatteFiles(tmp_path, new_background="#030507"))
    assert (read_image(tmp_path / "composite" / "me.now.png") == (2, 3, 4)).all()  # 1.8, 3.0, 4.2
    assert (read_image(tmp_path / "alpha" / "me.now.png", "L") == 102).all()
    matte_files(half, *pair, MatteFiles(tmp_path / "plain", ["composite"]))
    assert files_in(tmp_path / "plain") == ["composite/me.now.png"]


def test_a_new_background_picture_is_scaled_to_cover(pair, tmp_path):
    halves = np.zeros((40, 200, 3), np.uint8)
    halves[:, 100:] = 255
    save(tmp_path / "beach.png", halves)
    matte_files(difference_model, *pair, MatteFiles(tmp_path, ["alpha"], new_background=tmp_path / "beach.png"))
    composite, alpha = (read_image(tmp_path / kind / "me.now.png") for kind in ("composite", "alpha"))
    behind = composite[alpha[:, :, 0] == 0]
    assert set(np.unique(behind[:, 0])) >= {0, 255}
    assert (composite[0, :30] == 0).all()
    assert (composite[0, -30:] == 255).all()


def test_the_foreground_is_needed_where_its_colours_are_seen(pair, tmp_path):
    needed = {kind: MatteFiles(tmp_path, [kind]).need_foreground for kind in KINDS}
    assert [kind for kind in KINDS if needed[kind]] == ["foreground", "rgba", "composite"]
    assert MatteFiles(tmp_path, ["alpha"], new_background="green").need_foreground

    def without(source, background):
        return difference_model(source, background)._replace(foreground=None)

    matte_files(without, *pair, MatteFiles(tmp_path, ["alpha", "error", "refined"]))
    assert files_in(tmp_path / "alpha") == ["me.now.png"]


def test_in_memory(pair):
    output = Matting(difference_model)(source_picture(), PLACE.astype(np.float32) / 255)
    assert output.alpha.shape == (1, 1, *SIZE)
    assert not output.alpha.requires_grad


def test_a_background_of_the_same_values_is_uploaded_once():
    seen = []
    model = Matting(lambda source, background: seen.append(background) or difference_model(source, background))
    place = PLACE.copy()
    for _ in range(2):
        model(source_picture(), place)
    place[0] = 0
    model(source_picture(), place)
    assert seen[0] is seen[1]
    assert seen[1] is not seen[2]
    torch.testing.assert_close(seen[2][0], torch.from_numpy(place).permute(2, 0, 1) / 255)


def test_a_model_by_name_is_what_the_command_runs():
    torch.manual_seed(0)
    image, background = torch.rand(2, 96, 128, 3).mul(255).byte().numpy()
    alone = load_matting("bgmv2_mobilenetv2-synthetic", device="cpu", base_scale=0.5, foreground=False)
    output, fitted = alone(image, background), load_matting("bgmv2_mobilenetv2-synthetic")(image, background)
    assert output.foreground is None
    assert output.coarse_alpha.shape == (1, 1, 48, 64)
    assert fitted.foreground.shape == (1, 3, 96, 128)
    with pytest.raises(ValueError, match=r"base_scale=1 with PatchRefiner"):
        load_matting("bgmv2_mobilenetv2-synthetic", base_scale=1)


def test_a_folder_keeps_names_and_subfolders(tmp_path):
    for name in ("a.png", "b/a.jpg", "b/c.png"):
        save(tmp_path / "in" / name, source_picture())
        save(tmp_path / "empty" / Path(name).with_suffix(".png"), PLACE)
    for background in (tmp_path / "empty" / "a.png", tmp_path / "empty"):
        out = tmp_path / f"out_{background.stem}"
        matte_files(difference_model, tmp_path / "in", background, MatteFiles(out, ["alpha"]), progress=False)
        assert files_in(out) == ["alpha/a.png", "alpha/b/a.png", "alpha/b/c.png"]


def test_one_background_for_a_folder_is_handed_over_as_the_same_tensor(tmp_path, pair):
    darker = PLACE - PLACE // 16
    other = save(tmp_path / "empty" / "b.png", darker)
    seen = []

    def remembering(source, background):
        seen.append(background)
        return difference_model(source, background)

    sources = tmp_path / "two"
    for name in ("a.png", "b.png"):
        save(sources / name, source_picture())
    results = MatteFiles(tmp_path / "out", ["alpha"])
    matte_files(remembering, sources, pair[1], results, progress=False)
    assert seen[0] is seen[1]
    assert not seen[0].is_inference()  # such a tensor does not say whether it was changed
    save(tmp_path / "empty" / "a.png", PLACE)
    matte_files(remembering, sources, other.parent, results, progress=False)
    torch.testing.assert_close(seen[2], seen[0])
    torch.testing.assert_close(seen[3][0], torch.from_numpy(darker).permute(2, 0, 1) / 255)


def test_a_composite_of_half_precision_is_mixed_in_full(pair):
    output = Matting(difference_model)(source_picture(), PLACE)
    half = MattingOutput(*(field.bfloat16() for field in output))
    whole = MattingOutput(*(field.float() for field in half))
    behind = torch.tensor([0.1, 0.7, 0.3]).view(1, 3, 1, 1)
    assert torch.equal(render(half, "composite", behind), render(whole, "composite", behind))


def test_results_of_an_earlier_run_are_no_sources(tmp_path, pair):
    results = MatteFiles(tmp_path / "in", ["alpha"])
    for _ in range(2):
        written = matte_files(difference_model, pair[0].parent, pair[1], results, progress=False)
        assert len(written) == 1


def test_missing_backgrounds_are_named_before_anything_is_computed(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        save(tmp_path / "in" / name, source_picture())
    save(tmp_path / "empty" / "a.png", PLACE)
    with pytest.raises(MediaError, match=r"2 of 3 images \(the first: b\)"):
        matte_files(never, tmp_path / "in", tmp_path / "empty", MatteFiles(tmp_path / "out"), progress=False)


def test_another_size_is_named_before_anything_is_computed(tmp_path, pair):
    small = save(tmp_path / "small.png", PLACE[:40, :60])
    for source in (pair[0], pair[0].parent):
        with pytest.raises(MediaError, match=r"small.png is 60×40 pixels.*is 70×54.*could not be aligned") as error:
            matte_files(never, source, small, MatteFiles(tmp_path / "out"))
        assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_sources_are_never_overwritten(tmp_path):
    source = save(tmp_path / "alpha" / "a.png", source_picture())
    background = save(tmp_path / "empty.png", PLACE)
    for path in (source, source.parent):
        with pytest.raises(MediaError, match=r"alpha.a\.png would be overwritten"):
            matte_files(never, path, background, MatteFiles(tmp_path), progress=False)
    assert (read_image(source) == source_picture()).all()


def test_two_sources_of_one_name_are_refused(tmp_path, pair):
    save(tmp_path / "in" / "me.now.jpg", source_picture())
    with pytest.raises(MediaError, match=r"two images named me\.now"):
        matte_files(never, tmp_path / "in", pair[1], MatteFiles(tmp_path / "out"), progress=False)


def test_a_damaged_picture_does_not_stop_the_others(tmp_path, pair):
    damaged = save(tmp_path / "in" / "damaged.png", RANDOM.integers(0, 256, (*SIZE, 3), dtype=np.uint8))
    os.truncate(damaged, damaged.stat().st_size // 2)
    (tmp_path / "in" / "junk.jpg").write_bytes(b"junk")
    save(tmp_path / "in" / "wide.png", np.zeros((30, 40, 3), np.uint8))
    with pytest.raises(
        MediaError,
        match=r"3 of 4 images were left out.*damaged\.png is truncated.*junk\.jpg.*wide\.png is 40×30",
    ) as error:
        matte_files(difference_model, tmp_path / "in", pair[1], MatteFiles(tmp_path / "out", ["alpha"]), progress=False)
    assert "\n" not in str(error.value)
    assert files_in(tmp_path / "out") == ["alpha/me.now.png"]


def test_another_place_is_warned_of(tmp_path, pair):
    other = save(tmp_path / "other.png", np.ascontiguousarray(PLACE[::-1, ::-1]))
    with pytest.warns(MattingWarning, match="do not look like the same place"):
        matte_files(difference_model, pair[0], other, MatteFiles(tmp_path / "out"))


def test_a_grey_source_before_a_coloured_background_is_said(tmp_path, pair):
    grey = save(tmp_path / "grey.png", np.asarray(Image.fromarray(source_picture()).convert("L")))
    with pytest.warns(MattingWarning, match=r"grey\.png is grey and empty\.png is coloured"):
        matte_files(difference_model, grey, pair[1], MatteFiles(tmp_path / "out"))
    place = save(tmp_path / "place.png", np.asarray(Image.fromarray(PLACE).convert("L")))
    with pytest.warns(MattingWarning, match=r"place\.png is grey and me\.now\.png is coloured"):
        matte_files(difference_model, pair[0], place, MatteFiles(tmp_path / "out"))


def test_alignment_that_fails_warns_and_goes_on(tmp_path, pair):
    with pytest.warns(MattingWarning, match="was not aligned"):
        written = matte_files(difference_model, *pair, MatteFiles(tmp_path / "out", ["alpha"]), align=True)
    assert written[0].exists()


def test_alignment_brings_the_background_over_the_source(tmp_path):
    from skimage import data

    place = data.coffee()[:, 20:580]
    source = place.copy()
    source[100:300, 200:320] = COLOUR
    pair = save(tmp_path / "in.png", source), save(tmp_path / "empty.png", data.coffee()[4:, 12:])
    with pytest.raises(MediaError, match="--align"):
        matte_files(never, *pair, MatteFiles(tmp_path / "out"), align=False)
    for align in (True, "auto"):
        results = MatteFiles(tmp_path / str(align), ["foreground"])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            matte_files(lambda source, background: shown(source, background), *pair, results, align=align)
        assert [str(one.message)[:16] for one in caught] == (["the camera moved"] if align == "auto" else [])
        aligned = read_image(tmp_path / str(align) / "foreground" / "in.png")
        assert np.abs(aligned[20:-20, 20:180].astype(int) - place[20:-20, 20:180]).mean() < 3


def test_a_camera_that_stands_still_leaves_the_background_as_it_is(tmp_path):
    from skimage import data

    place = data.coffee()
    rng = np.random.default_rng(0)
    source = (place + rng.normal(0, 4, place.shape)).clip(0, 255).astype(np.uint8)
    source[100:300, 200:320] = COLOUR
    pair = save(tmp_path / "in.png", source), save(tmp_path / "empty.png", place)
    matte_files(lambda source, background: shown(source, background), *pair, MatteFiles(tmp_path, ["foreground"]))
    assert np.array_equal(read_image(tmp_path / "foreground" / "in.png"), place)


def test_wrong_requests_are_refused(tmp_path, pair):
    with pytest.raises(ValueError, match="'matte' do not exist; expected some of alpha"):
        MatteFiles(tmp_path, ["matte"])
    with pytest.raises(ValueError, match="neither a file nor a colour"):
        MatteFiles(tmp_path, new_background="bluish")
    with pytest.raises(MediaError, match="is a folder; expected one image"):
        matte_files(never, pair[0], tmp_path, MatteFiles(tmp_path / "out"))
    with pytest.raises(ValueError, match=r"training mode.*model\.eval"):
        Matting(nn.Identity())(PLACE, PLACE)


def test_an_unusable_result_is_not_written(tmp_path, pair):
    def broken(source, background):
        output = difference_model(source, background)
        return output._replace(alpha=output.alpha * float("nan"))

    with pytest.raises(ValueError, match="NaN"):
        matte_files(broken, *pair, MatteFiles(tmp_path / "out", ["alpha"]))
    assert not files_in(tmp_path / "out") if (tmp_path / "out").exists() else True


class TestVideo:
    """30 frames; a person walks to the right."""

    @pytest.fixture
    def video(self, tmp_path):
        return write_video(tmp_path / "in" / "walk.mp4", [walking(number) for number in range(30)])

    @pytest.fixture
    def background(self, tmp_path):
        return save(tmp_path / "in" / "empty.png", STAGE)

    @pytest.fixture
    def network(self):
        """One that has learnt nothing, with patches to refine."""
        backbone = {"class_path": "TimmBackbone", "init_args": {"name": "lcnet_050"}}
        selector = {"class_path": "TopK", "init_args": {"patches": 50}}
        return zoo.create_model("bgmv2_mobilenetv2", backbone=backbone, selector=selector).eval().network

    def test_videos_keep_timestamps_and_land_in_one_folder_a_kind(self, video, background, tmp_path):
        from zoo.media.videos import read_frames

        results = MatteFiles(tmp_path / "out", ["alpha", "rgba"], new_background="green")
        matte_files(threshold_model, video, background, results, progress=False)
        assert files_in(tmp_path / "out") == ["alpha/walk.mp4", "composite/walk.mp4", "rgba/walk.mov"]
        mattes, sources = (list(read_frames(path)) for path in (tmp_path / "out" / "alpha" / "walk.mp4", video))
        assert [frame.seconds for frame in mattes] == [frame.seconds for frame in sources]
        for number in (0, 12, 29):
            truth = np.abs(walking(number).astype(int) - STAGE).max(axis=2) > 0
            assert ((mattes[number].pixels[:, :, 0] > 128) == truth).mean() > 0.97

    def test_a_black_beginning_switches_neither_alignment_nor_the_warning_off(
        self, background, tmp_path, recwarn, monkeypatch
    ):
        from zoo.matting import alignment
        from zoo.matting.alignment import Aligned

        aligned = []
        monkeypatch.setattr(
            alignment, "align_background", lambda *pair: aligned.append(pair[0]) or Aligned(pair[1], None)
        )
        source = write_video(tmp_path / "late.mp4", [np.zeros_like(STAGE)] * 8 + [walking(n) for n in range(8)])
        matte_files(
            threshold_model, source, background, MatteFiles(tmp_path / "out", ["alpha"]), align=True, progress=False
        )
        assert aligned[0].mean() > 60
        assert not [w for w in recwarn if issubclass(w.category, MattingWarning)]

    def test_frames_are_written_without_loss(self, video, background, tmp_path):
        results = MatteFiles(tmp_path / "out", ["alpha"], frames=True)
        matte_files(threshold_model, video, background, results, progress=False)
        assert files_in(tmp_path / "out") == [f"alpha/walk/{number:06d}.png" for number in range(30)]
        assert set(np.unique(read_image(tmp_path / "out" / "alpha" / "walk" / "000003.png", "L"))) == {0, 255}

    def test_frames_are_what_each_is_when_matted_by_itself(self, video, background, tmp_path, network):
        """Whatever runs at the same time, of every kind, with a network that remembers the background."""
        from zoo.media.videos import read_frames

        behind = write_video(tmp_path / "sea.mp4", [np.full((48, 64, 3), 8 * n, np.uint8) for n in range(20)])
        results = MatteFiles(tmp_path / "out", KINDS, new_background=behind, frames=True)
        matte_files(FastMatting(network), video, background, results, progress=False)
        model, alone = FastMatting(network), MatteFiles(tmp_path / "alone", KINDS, new_background=behind)
        for number, frame in enumerate(read_frames(video)):
            output = Matting(model)(frame.pixels, read_image(background))  # a tensor of its own each time
            for kind in KINDS:
                with Image.open(tmp_path / "out" / kind / f"walk/{number:06d}.png") as written:
                    assert np.array_equal(written, alone.image(kind, output, frame.seconds)), (kind, number)
        assert number == 29

    def test_the_background_is_prepared_once(self, video, background, tmp_path):
        seen = set()

        def model(source, background):
            seen.add(background.data_ptr())
            return threshold_model(source, background)

        matte_files(model, video, background, MatteFiles(tmp_path / "out", ["alpha"]), progress=False)
        assert len(seen) == 1

    def test_a_video_behind_a_video(self, video, background, tmp_path):
        from zoo.media.videos import read_frames

        behind = write_video(tmp_path / "sea.mp4", [np.full((48, 64, 3), 8 * n, np.uint8) for n in range(20)])
        results = MatteFiles(tmp_path / "out", ["composite"], new_background=behind)
        matte_files(threshold_model, video, background, results, progress=False)
        corners = [frame.pixels[-4, -4].mean() for frame in read_frames(tmp_path / "out" / "composite" / "walk.mp4")]
        assert corners == pytest.approx([8 * (n % 20) for n in range(30)], abs=4)

    def test_a_video_that_ends_early_keeps_its_mattes(self, background, tmp_path):
        from zoo.media.videos import VideoEndsEarly, read_frames

        noisy = [RANDOM.integers(0, 256, walking(0).shape, dtype=np.uint8) for _ in range(30)]
        video = write_video(tmp_path / "in" / "walk.mp4", noisy)
        os.truncate(video, video.stat().st_size // 2)
        results = MatteFiles(tmp_path / "out", ["alpha"])
        with pytest.warns(MattingWarning), pytest.raises(VideoEndsEarly, match="ends early") as error:
            matte_files(threshold_model, video, background, results, progress=False)
        assert files_in(tmp_path / "out") == ["alpha/walk.mp4"]
        count = len(list(read_frames(tmp_path / "out" / "alpha" / "walk.mp4")))
        assert 3 < count < 27
        assert f"{count} frames" in str(error.value)

    def test_an_interrupted_run_keeps_what_was_written(self, video, background, tmp_path):
        calls = []

        def model(source, background):
            calls.append(1)
            if len(calls) == 20:
                raise RuntimeError("out of memory")
            return threshold_model(source, background)

        with pytest.raises(RuntimeError, match="out of memory"):
            matte_files(model, video, background, MatteFiles(tmp_path / "out", ["alpha"]), progress=False)
        assert files_in(tmp_path / "out") == ["alpha/walk.partial.mp4"]

    def test_another_size_is_named(self, video, tmp_path):
        small = save(tmp_path / "small.png", STAGE[:40])
        with pytest.raises(MediaError, match=r"small\.png is 96×40 pixels.*is 96×64"):
            matte_files(never, video, small, MatteFiles(tmp_path / "out"), progress=False)
        with pytest.raises(MediaError, match="is a video; expected one image"):
            matte_files(never, video, video, MatteFiles(tmp_path / "out"), progress=False)

    def test_a_video_behind_a_picture_is_refused(self, video, pair, tmp_path):
        with pytest.raises(MediaError, match="new background is a video and the source is not"):
            matte_files(never, *pair, MatteFiles(tmp_path / "out", new_background=video))


STAGE = RANDOM.integers(60, 120, (8, 12, 3)).repeat(8, axis=0).repeat(8, axis=1).astype(np.uint8)


def walking(number):
    frame = STAGE.copy()
    frame[16:48, number : number + 24] = (250, 240, 230)
    return frame


def threshold_model(source, background):
    output = difference_model(source, background)
    alpha = ((source - background).abs().amax(dim=1, keepdim=True) > 0.2).float()
    return output._replace(alpha=alpha)


def write_video(path, frames):
    av = pytest.importorskip("av")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", container_options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode(None))
    return path


def never(source, background):
    raise AssertionError("the model must not run")


def shown(source, background):
    """A model whose foreground is the background it was given."""
    return difference_model(source, background)._replace(foreground=background)
