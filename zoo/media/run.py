"""Processing of an image, a folder of images or a video, the same for every task.

A task gives functions that read, compute and write one item. The next items are read and the last ones written while
one is computed. Results are named like their sources and replace none of them. A file that fails does not stop others.
"""

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

from PIL import Image

from zoo.core.errors import ZooError
from zoo.media.folders import SHOWN, find_images
from zoo.media.images import EXTENSIONS, MediaError, MediaWarning
from zoo.media.pipeline import BackgroundWriter, prefetch
from zoo.media.progress import tracked
from zoo.media.videos import Frame, VideoEndsEarly, is_video

MESHES = (".gltf", ".ply", ".stl", ".fbx", ".dae")
"""Endings of meshes that are not written: such an output is a mistake, no folder."""

Item = TypeVar("Item")
Output = TypeVar("Output")

FrameWriter = AbstractContextManager[Callable[[int, Frame, Any], None]]
"""Context manager of a function (number of the frame, frame, output) that writes one kind of result."""

WAITING = 2
"""Items that wait at most before they are computed, and afterwards for each writer; a 4K frame takes some 100 MB."""


class ResultFiles:
    """Files that results are saved as, `FOLDER/KIND/NAME.ENDING`.

    Args:
        folder: created when missing; files of the same name are replaced. A name with the ending of a kind of result is
            one file, for one image or video.
        save: kinds of results; None takes the defaults, for one file the first kind of its ending.

    Raises:
        ZooError: unknown kind, or a file where the folder should be.
    """

    endings: Mapping[str, str]
    """Ending of each kind's files."""
    video_endings: Mapping[str, str]
    """The same for videos; "" is a folder with a file per frame."""
    default: ClassVar[Sequence[str]]
    video_default: ClassVar[Sequence[str]]

    def __init__(self, folder: str | Path, save: Sequence[str] | None = None) -> None:
        unknown = [kind for kind in save or () if kind not in self.endings]
        if unknown or (save is not None and not save):
            raise ZooError(
                f"results of kind '{' '.join(unknown)}' do not exist; expected some of {', '.join(self.endings)}."
            )
        self.folder, self.save = Path(folder), save
        ending = self.folder.suffix.lower()
        kinds = [kind for kind in self.endings if ending in (self.endings[kind], self.video_endings[kind])]
        self.file = self.folder if ending and kinds and not self.folder.is_dir() else None
        if self.file and save is None:
            self.save = kinds[:1]
        if not kinds and (ending in (*EXTENSIONS, *MESHES) or is_video(self.folder)):
            still, moving = ({*endings.values()} - {""} for endings in (self.endings, self.video_endings))
            videos = f" of an image, {' '.join(sorted(moving - still))} of a video" if moving - still else ""
            raise ZooError(
                f"{self.folder} ends in {ending}, which is not written; expected {' '.join(sorted(still))}{videos}, or "
                "a folder."
            )
        place = self.folder.parent if self.file else self.folder
        existing = next(path for path in (place, *place.parents) if path.exists())
        if not existing.is_dir():
            raise ZooError(f"{existing} is a file; expected a folder for the results: choose another output.")

    def targets(self, name: str, video: bool = False) -> dict[str, Path]:
        """Return where each kind of result of one image or video is written."""
        kinds = self.save or (self.video_default if video else self.default)
        endings = self.video_endings if video else self.endings
        if self.file is None:
            return {kind: self.folder / kind / f"{name}{endings[kind]}" for kind in kinds}
        if len(kinds) > 1 or endings[kinds[0]] != self.file.suffix.lower():
            what = f"{' '.join(kinds)} of {'a video' if video else 'an image'}"
            expected = f"a file ending in {endings[kinds[0]]}" if len(kinds) == 1 and endings[kinds[0]] else "a folder"
            raise ZooError(f"{self.file} cannot hold {what}; expected {expected}, or other kinds of results.")
        return {kinds[0]: self.file}

    def folders(self) -> list[Path]:
        """Return the folder of every kind."""
        if self.file is not None:
            raise ZooError(f"{self.file} is one file; expected a folder for the results of a folder of images.")
        return [self.folder / kind for kind in self.endings]


class Job(NamedTuple):
    """Input files of one item, and where each kind of its results is written."""

    inputs: tuple[Path, ...]
    targets: Mapping[str, Path]


def process_images(
    jobs: Sequence[Job],
    read: Callable[..., Item],
    compute: Callable[[Item], Output],
    write: Callable[[str, Path, Output], Any],
    folder: Path | None = None,
    description: str = "",
    progress: bool = True,
) -> list[Path]:
    """Process images and return the files written.

    Args:
        jobs: an image each.
        read: a job's inputs → item; called in a thread.
        compute: item → output.
        write: (kind, path, output); called in another thread.
        folder: of the results of several images: those that fail are reported at the end, when all others are done.
            None for a single image.
        description, progress: of the progress bar.

    Raises:
        MediaError: an input would be overwritten; images that failed with an error on purpose.
    """
    refuse_overwriting(
        (path for job in jobs for path in job.targets.values()), (path for job in jobs for path in job[0])
    )
    written: list[Path] = []
    failures: list[ValueError] = []
    items = ((job, attempt(read, *job.inputs)) for job in jobs)
    with BackgroundWriter(WAITING) as writer, prefetch(items, WAITING) as ready:
        for job, item in tracked(ready, len(jobs), description, progress and folder is not None):
            output = item if isinstance(item, ValueError) else attempt(compute, item)
            if isinstance(output, ValueError):
                failures.append(output if folder is None else naming(output, job.inputs[0]))
                continue
            for kind, path in job.targets.items():
                writer.do(write, kind, path, output)
            written += job.targets.values()
    if failures and folder is None:
        raise failures[0]
    if failures:
        raise left_out(failures, len(jobs), folder)
    return written


def naming(error: ValueError, path: Path) -> ValueError:
    """Return an error whose message names the file.

    Example:
        >>> naming(ValueError("it is too small."), Path("in/a.png"))
        MediaError('in/a.png: it is too small.')
    """
    return error if path.name in str(error) else MediaError(f"{path}: {error}")


def left_out(failures: Sequence[Exception], count: int, folder: Path | None) -> MediaError:
    """Return the error that lists the images of a folder that failed, of `count`.

    Example:
        >>> left_out([MediaError("a.png is empty.")], 2, Path("out"))
        MediaError('1 of 2 images was left out, the others are in out: a.png is empty.')
    """
    verb = "was" if len(failures) == 1 else "were"
    more = f" … and {len(failures) - SHOWN} more." if len(failures) > SHOWN else ""
    others = f", the others are in {folder}" if len(failures) < count else ""
    listed = " ".join(str(failure) for failure in failures[:SHOWN])
    return MediaError(f"{len(failures)} of {count} images {verb} left out{others}: {listed}{more}")


def process_video(
    frames: Iterable[Frame],
    read: Callable[[Frame], Item],
    compute: Callable[[Item], Any],
    writers: Iterable[FrameWriter],
    count: int | None = None,
    description: str = "",
    progress: bool = True,
) -> None:
    """Process the frames of a video in constant memory.

    Args:
        frames: decoded in a thread.
        read: frame → item, in the same thread.
        compute: item → output.
        writers: each is used in a thread of its own.
        count: of the frames, about.
        description, progress: of the progress bar.

    Raises:
        VideoEndsEarly: after everything that could be read is written.
    """
    early: VideoEndsEarly | None = None
    with ExitStack() as stack:
        writes = [stack.enter_context(writer) for writer in writers]
        threads = [stack.enter_context(BackgroundWriter(WAITING)) for _ in writes]
        try:
            with prefetch(((frame, read(frame)) for frame in frames), WAITING) as ready:
                for number, (frame, item) in enumerate(tracked(ready, count, description, progress)):
                    output = compute(item)
                    for thread, write in zip(threads, writes, strict=True):
                        thread.do(write, number, frame, output)
        except VideoEndsEarly as error:
            early = error
    if early is not None:
        raise early


def name_in(path: Path, folder: Path) -> str:
    """Return the name of an image's results: its path in the folder without the ending."""
    return path.relative_to(folder).with_suffix("").as_posix()


def named_images(folder: Path, own: Iterable[Path] = ()) -> list[tuple[Path, str]]:
    """Return the images in a folder and its subfolders with the names of their results.

    Args:
        own: folders of results, left out where an earlier run made them inside `folder`.

    Raises:
        MediaError: no images, or two of one name.
    """
    images = find_images(folder, list(own))
    names = [name_in(path, folder) for path in images]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise MediaError(
            f"{folder} holds two images named {min(twice)}; expected different names, since results are named so."
        )
    return list(zip(images, names, strict=True))


def refuse_overwriting(targets: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raise a `MediaError` where a result would replace an input."""
    endangered = {path.resolve() for path in targets} & {path.resolve() for path in inputs}
    if endangered:
        raise MediaError(f"{min(endangered)} would be overwritten by a result; expected another output folder.")


@contextmanager
def one_line_warnings() -> Iterator[None]:
    """Print each `MediaWarning` in the block as one line, without the line of code that Python adds.

    Example:
        >>> with one_line_warnings():
        ...     warnings.warn("of a.gif only the first image is read", MediaWarning)
    """
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *details: Any, **more: Any) -> None:
            if issubclass(category, MediaWarning):
                print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)
            else:
                others(message, category, *details, **more)

        warnings.simplefilter("default", MediaWarning)  # each once
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our limit is another one
        warnings.showwarning = show
        yield


def attempt(function: Callable[..., Output], *arguments: Any) -> Output | ValueError:
    """Call a function; return its error if it is one on purpose, so that the next image gets its turn.

    Example:
        >>> attempt(find_images, "nowhere")
        MediaError('nowhere is not a folder; expected a folder of images: check the path.')
    """
    try:
        return function(*arguments)
    except ValueError as error:
        if not isinstance(error, ZooError) and type(error) is not ValueError:  # subclasses come from libraries
            raise
        return error
