"""Videos: timestamps, rotation, sound and colours come through; bad files give what can be read and one sentence."""

import os
import sys
from fractions import Fraction

import numpy as np
import pytest

from zoo.media.images import MediaError, MediaWarning
from zoo.media.videos import (
    Frame,
    LoopingVideo,
    VideoEndsEarly,
    VideoWriter,
    as_rgb,
    is_video,
    read_frames,
    read_video_info,
)

av = pytest.importorskip("av")

VARIABLE = [0, 40, 50, 200, 240, 400, 1000, 1033, 1066, 1100]  # milliseconds


def make_video(
    path,
    times=tuple(range(0, 1000, 40)),
    size=(48, 64),
    sound=None,
    rotation=0,
    codec="libx264",
    picture=None,
    moving=False,
    time_base=Fraction(1, 1000),
    options=None,
    encoder=None,
    tags=None,
    tracks=1,
):
    """A video whose frame number i has the grey value 20 + 5·i (or that shows `picture`, or what it returns)."""
    with av.open(str(path), "w", options=options or {}) as container:
        crf = {"crf": "1"} | (encoder or {}) if codec == "libx264" else {}
        stream = container.add_stream(codec, rate=25, options=crf)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        stream.codec_context.time_base = stream.time_base = time_base
        if rotation:
            stream.set_display_rotation(rotation)
        sounds = [container.add_stream(sound, rate=48000, layout="mono") for _ in range(tracks)] if sound else []
        for number, track in enumerate(sounds):
            track.metadata["language"] = ("eng", "deu")[number]
        for number, time in enumerate(times):
            pixels = np.full((*size, 3), 20 + 5 * number, np.uint8) if picture is None else picture
            pixels = picture(number) if callable(picture) else pixels
            pixels = np.roll(pixels, 7 * number, axis=0) if moving else pixels
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for loudness, track in enumerate(sounds, 1):
            for start in range(0, 48000, 1024):
                tone = np.sin(np.arange(start, start + 1024) / 20).astype(np.float32)[None] / loudness
                chunk = av.AudioFrame.from_ndarray(tone, "fltp", "mono")
                chunk.sample_rate, chunk.pts, chunk.time_base = 48000, start, Fraction(1, 48000)
                container.mux(track.encode(chunk))
            container.mux(track.encode(None))
    return path


def times_of(path):
    return [round(frame.seconds * 1000) for frame in read_frames(path)]


def sound_of(path):
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        frames = [frame.to_ndarray() for frame in container.decode(container.streams.audio[0])]
        return container.streams.audio[0].codec_context.name, np.concatenate(frames, axis=1)


def copy(source, target, transparent=False):
    info = read_video_info(source)
    with VideoWriter(target, info, transparent) as writer:
        for frame in read_frames(source):
            writer.write(frame.pixels, frame)
    return target


def test_frames_come_in_order_with_their_timestamps(tmp_path):
    frames = list(read_frames(make_video(tmp_path / "a.mp4", VARIABLE)))
    assert [round(frame.seconds * 1000) for frame in frames] == VARIABLE
    assert [round(float(frame.pixels.mean())) for frame in frames] == pytest.approx(
        [20 + 5 * n for n in range(10)], abs=2
    )
    info = read_video_info(tmp_path / "a.mp4")
    assert (info.height, info.width) == frames[0].pixels.shape[:2] == (48, 64)
    assert info.duration == pytest.approx(1.1, abs=0.1)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov", "avi"])
def test_a_variable_frame_rate_survives_a_copy(tmp_path, ending):
    if ending == "avi":  # which knows only constant rates
        source = make_video(tmp_path / "a.avi", codec="mpeg4", time_base=Fraction(1, 25))
        expected = list(range(0, 1000, 40))
    else:
        source, expected = make_video(tmp_path / f"a.{ending}", VARIABLE), VARIABLE
    assert times_of(source) == expected
    assert times_of(copy(source, tmp_path / "b.mp4")) == expected


@pytest.mark.skipif(not hasattr(av.VideoStream, "set_display_rotation"), reason="this PyAV writes no rotation")
@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_rotation_metadata_is_applied(tmp_path, rotation):
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:12, :16] = 255  # upper left, as stored
    source = make_video(tmp_path / "a.mp4", rotation=rotation, picture=picture)
    frame = next(read_frames(source)).pixels
    expected = np.rot90(picture, rotation // 90)
    assert np.abs(frame.astype(int) - expected).mean() < 5
    info = read_video_info(source)
    assert (info.height, info.width) == expected.shape[:2]
    again = next(read_frames(copy(source, tmp_path / "b.mp4"))).pixels
    assert np.abs(again.astype(int) - expected).mean() < 5


def test_sound_is_copied_unchanged_and_in_time(tmp_path):
    source = make_video(tmp_path / "a.mp4", sound="aac")
    (codec, before), (codec_after, after) = sound_of(source), sound_of(copy(source, tmp_path / "b.mp4"))
    assert codec == codec_after == "aac"
    assert (before == after).all()


def test_sound_that_the_container_cannot_hold_is_encoded(tmp_path):
    source = make_video(tmp_path / "a.avi", codec="mpeg4", time_base=Fraction(1, 25), sound="adpcm_ima_wav")
    codec, after = sound_of(copy(source, tmp_path / "b.mp4"))
    assert codec == "aac"
    assert after.shape[1] == pytest.approx(48000, abs=4096)
    assert np.abs(after).max() > 0.5


def test_all_sound_tracks_are_kept_with_their_languages(tmp_path):
    target = copy(make_video(tmp_path / "a.mp4", sound="aac", tracks=2), tmp_path / "b.mp4")
    with av.open(str(target)) as container:
        loudness = []
        for number, language in enumerate(("eng", "deu")):
            assert container.streams.audio[number].metadata["language"] == language
            container.seek(0)
            frames = [frame.to_ndarray() for frame in container.decode(container.streams.audio[number])]
            loudness.append(np.abs(np.concatenate(frames, axis=1)).max())
    assert loudness == pytest.approx([1, 0.5], abs=0.1)


@pytest.mark.parametrize(("number", "name"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_refused(tmp_path, number, name):
    source = make_video(tmp_path / "a.mp4", times=(0, 40), tags={"color_trc": number, "color_primaries": 9})
    for read in (read_video_info, lambda path: list(read_frames(path))):
        with pytest.raises(MediaError, match=rf"a\.mp4 is a video of high dynamic range, {name}.*tonemap=hable"):
            read(source)


def test_wide_colours_are_said(tmp_path):
    source = make_video(tmp_path / "a.mp4", times=(0, 40), tags={"color_primaries": 9})
    with pytest.warns(MediaWarning, match=r"a\.mp4 has colours of BT\.2020, which are taken as BT\.709"):
        read_video_info(source)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("matrix", "red", "blue"), [(1, 0.2126, 0.0722), (6, 0.299, 0.114), (9, 0.2627, 0.0593)])
def test_matrix_and_range_of_the_colours_are_obeyed(matrix, red, blue, full):
    colour = np.array((220, 40, 60)) / 255
    luma = red * colour[0] + (1 - red - blue) * colour[1] + blue * colour[2]
    chroma = (colour[2] - luma) / (2 - 2 * blue), (colour[0] - luma) / (2 - 2 * red)
    low, span, chroma_span = (0, 255, 255) if full else (16, 219, 224)
    values = [low + span * luma, 128 + chroma_span * chroma[0], 128 + chroma_span * chroma[1]]
    sizes = 64 * 64, 32 * 32, 32 * 32
    planes = [np.full(size, round(value), np.uint8) for size, value in zip(sizes, values, strict=True)]
    frame = av.VideoFrame.from_ndarray(np.concatenate(planes).reshape(96, 64), "yuv420p")
    frame.colorspace, frame.color_range = matrix, 2 if full else 1
    assert np.abs(as_rgb(frame)[32, 32].astype(int) - (220, 40, 60)).max() <= 3


def test_an_interlaced_video_is_said_and_joined_when_asked(tmp_path):
    """A bar moves by 2 pixels from field to field."""

    def comb(number):
        pixels = np.full((48, 64, 3), 30, np.uint8)
        pixels[0::2, 2 * number : 2 * number + 8] = pixels[1::2, 2 * number + 2 : 2 * number + 10] = 220
        return pixels

    encoder = {"flags": "+ilme+ildct", "x264-params": "tff=1"}
    source = make_video(tmp_path / "a.mp4", picture=comb, encoder=encoder, rotation=180)
    with pytest.warns(MediaWarning, match=r"a\.mp4 is interlaced, .*--deinterlace joins"):
        read_video_info(source)
    read_video_info(source, deinterlace=True)
    frames, joined = list(read_frames(source)), list(read_frames(source, deinterlace=True))
    assert [frame.seconds for frame in joined] == [frame.seconds for frame in frames]
    jumps = [np.abs(np.diff(frame[5].pixels.astype(int), axis=0)).mean() for frame in (frames, joined)]
    assert jumps[1] < 0.2 * jumps[0]


def test_odd_sizes_are_written_so_that_all_players_show_them(tmp_path):
    info = resized(read_video_info(make_video(tmp_path / "a.mp4", times=(0, 40))), (47, 63))
    pixels = np.tile(np.arange(63, dtype=np.uint8)[None, :, None] * 4, (47, 1, 3))
    with VideoWriter(tmp_path / "b.mp4", info) as writer:
        writer.write(pixels, Frame(pixels, 0, info.time_base))
    with av.open(str(tmp_path / "b.mp4")) as container:
        frame = next(container.decode(video=0))
        assert (frame.format.name, frame.height, frame.width) == ("yuv420p", 48, 64)
    assert np.abs(as_rgb(frame)[:47, :63].astype(int) - pixels).max() < 8
    assert abs(int(as_rgb(frame)[47, 63, 0]) - 62 * 4) < 8


def test_frames_of_another_size_become_as_large_as_the_first(tmp_path):
    info = read_video_info(make_video(tmp_path / "a.mp4", times=(0, 40)))
    with VideoWriter(tmp_path / "b.mp4", info) as writer:
        for number, size in enumerate([(48, 64), (50, 80)]):
            pixels = np.full((*size, 3), 90, np.uint8)
            writer.write(pixels, Frame(pixels, 512 * number, info.time_base))
    assert [frame.pixels.shape for frame in read_frames(tmp_path / "b.mp4")] == [(48, 64, 3)] * 2


def test_odd_metadata_do_not_matter(tmp_path):
    source = make_video(tmp_path / "a.mkv", times=(0, 40))
    source.write_bytes(source.read_bytes().replace(b"Lavf", b"L\xe4\xfff"))
    assert len(times_of(copy(source, tmp_path / "b.mp4"))) == 2


def test_no_sound_is_no_error(tmp_path):
    assert sound_of(copy(make_video(tmp_path / "a.mp4"), tmp_path / "b.mp4")) is None


@pytest.mark.parametrize("size", [(48, 64), (720, 1280), (47, 63)])
def test_colours_and_odd_sizes_survive_a_copy(tmp_path, size):
    picture = np.zeros((*size, 3), np.uint8)
    picture[:, : size[1] // 2] = (220, 40, 60)
    picture[:, size[1] // 2 :] = (30, 180, 90)
    even = (size[0] // 2 * 2, size[1] // 2 * 2)
    source = make_video(tmp_path / "a.mp4", times=(0, 40), size=even, picture=picture[: even[0], : even[1]])
    with VideoWriter(tmp_path / "b.mp4", info := resized(read_video_info(source), size)) as writer:
        writer.write(picture, Frame(picture, 0, info.time_base))
    frame = next(read_frames(tmp_path / "b.mp4")).pixels
    assert frame.shape == tuple(side + side % 2 for side in size) + (3,)
    frame = frame[: size[0], : size[1]]
    inner = np.s_[:, list(range(size[1] // 2 - 4)) + list(range(size[1] // 2 + 4, size[1]))]
    assert np.abs(frame[inner].astype(int) - picture[inner]).max() < 8


def test_transparent_video_keeps_its_alpha(tmp_path):
    source = make_video(tmp_path / "a.mp4", times=(0, 40))
    pixels = np.full((48, 64, 4), 200, np.uint8)
    pixels[:, :, 3] = np.linspace(0, 255, 64).astype(np.uint8)
    info = read_video_info(source)
    with VideoWriter(tmp_path / "b.mov", info, transparent=True) as writer:
        writer.write(pixels, Frame(pixels, 0, info.time_base))
    with av.open(str(tmp_path / "b.mov")) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="rgba")
    assert np.abs(frame.astype(int) - pixels).max() < 6


def test_a_truncated_video_gives_its_frames_and_then_one_sentence(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    source = make_video(tmp_path / "a.mp4", options={"movflags": "+faststart"}, picture=noise, moving=True)
    os.truncate(source, source.stat().st_size // 2)
    seen = []
    with pytest.raises(VideoEndsEarly, match=r"a\.mp4 ends early.* of 1\.00 s") as error:
        seen.extend(read_frames(source))
    assert 2 <= len(seen) < 20
    assert f"{len(seen)} frames" in str(error.value)


@pytest.mark.parametrize("kind", ["nonsense", "drm"])  # the second takes no H.264 frames, in any machine
def test_a_device_that_does_not_decode_it_is_refused(tmp_path, kind):
    source = make_video(tmp_path / "a.mp4")
    with pytest.raises(MediaError, match=rf"a\.mp4 cannot be decoded by '{kind}' .*of a kind that this PyAV knows"):
        next(read_frames(source, decoder=kind))


def test_a_whole_video_does_not_end_early(tmp_path):
    assert len(list(read_frames(make_video(tmp_path / "a.mp4", sound="aac")))) == 25
    assert len(list(read_frames(make_video(tmp_path / "a.mkv", sound="aac")))) == 25


@pytest.mark.parametrize("content", [b"", b"hello" * 100])
def test_what_is_no_video_is_named(tmp_path, content):
    (tmp_path / "a.mp4").write_bytes(content)
    for read in (read_video_info, lambda path: list(read_frames(path))):
        with pytest.raises(MediaError, match=r"a\.mp4 cannot be read as a video") as error:
            read(tmp_path / "a.mp4")
        assert "\n" not in str(error.value)
    with pytest.raises(MediaError, match="no file"):
        read_video_info(tmp_path / "b.mp4")


def test_a_video_without_its_index_is_named(tmp_path):
    source = make_video(tmp_path / "a.mp4")
    os.truncate(source, source.stat().st_size // 2)
    with pytest.raises(MediaError, match="cannot be read as a video"):
        read_video_info(source)


def test_sound_alone_is_no_video(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        track = container.add_stream("aac", rate=48000, layout="mono")
        chunk = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        chunk.sample_rate = 48000
        container.mux(track.encode(chunk))
        container.mux(track.encode(None))
    with pytest.raises(MediaError, match="no video stream"):
        read_video_info(tmp_path / "a.mp4")


def test_an_interrupted_video_keeps_what_was_written(tmp_path):
    source = make_video(tmp_path / "a.mp4")

    def run_out_of_memory():
        with VideoWriter(tmp_path / "b.mp4", read_video_info(source)) as writer:
            for frame, _ in zip(read_frames(source), range(10), strict=False):
                writer.write(frame.pixels, frame)
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        run_out_of_memory()
    assert sorted(os.listdir(tmp_path)) == ["a.mp4", "b.partial.mp4"]
    assert len(times_of(tmp_path / "b.partial.mp4")) == 10


def test_a_video_behind_another_loops(tmp_path):
    behind = LoopingVideo(make_video(tmp_path / "a.mp4", times=(0, 40, 80)))
    values = [
        round((behind.at(Fraction(time, 1000)).mean() - 20) / 5) for time in (0, 39, 40, 80, 100, 120, 170, 200, 500)
    ]
    assert values == [0, 0, 1, 2, 2, 0, 1, 2, 0]


def test_names_of_videos():
    assert is_video("a/b.MP4")
    assert not is_video("a/b.png")


def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MediaError, match="pip install 'av>="):
        read_video_info(tmp_path / "a.mp4")


def resized(info, size):
    from dataclasses import replace

    return replace(info, height=size[0], width=size[1])
