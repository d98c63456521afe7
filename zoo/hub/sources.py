"""Sources of weights: the addresses that a catalogue may give.

https://HOST/FILE                             a web server; http:// as well
hf://OWNER/REPO/FILE@REVISION                 the Hugging Face Hub; the main branch where no revision is given
wandb://ENTITY/PROJECT/ARTIFACT/FILE@VERSION  a W&B artifact; the latest version where none is given
package://PACKAGE/FILE                        bundled in an installed distribution, used without a copy
file:///FOLDER/FILE                           on this machine or a shared drive, used without a copy
"""

import importlib.util
import re
import shutil
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from zoo.core.errors import ZooError
from zoo.hub.download import Report, download

SCHEMES = ("https", "http", "hf", "wandb", "package", "file")

HOLDERS = {
    "hf": (r"([\w.-]+/[\w.-]+)/([^@]+)(?:@([\w./-]+))?", "hf://OWNER/REPO/FILE or hf://OWNER/REPO/FILE@REVISION"),
    "wandb": (
        r"([\w.-]+/[\w.-]+/[\w.-]+)/([^@]+)(?:@([\w.-]+))?",
        "wandb://ENTITY/PROJECT/ARTIFACT/FILE or …@VERSION",
    ),
    "package": (r"(\w+)/([^@]+)()", "package://PACKAGE/FILE"),
}
"""Pattern and form of these addresses after the scheme: a holder, a file in it and perhaps a revision."""

HUB_TIMEOUT = 5
"""Seconds to wait for the Hugging Face Hub to confirm that it has a file."""

REPOSITORY = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:/([^@]+))?(?:@([\w./-]+))?")
"""Address of a repository of the Hub, or of a file in it."""

FILE_NAME = re.compile(r"\w[\w.+-]{,127}")
"""File names that are safe in the cache on every platform."""


class Source(NamedTuple):
    """A parsed address.

    Args:
        address: as in the catalogue.
        scheme: one of `SCHEMES`.
        holder: repository, artifact or package; empty for the others.
        file: path within the holder; for the others the path.
        revision: of the repository or artifact, None where the address names none.
    """

    address: str
    scheme: str
    holder: str
    file: str
    revision: str | None

    @property
    def file_name(self) -> str:
        """Name of the file without folders."""
        return self.file.rpartition("/")[2]

    def at(self, revision: str) -> "Source":
        """Return the same file at another revision.

        Raises:
            ValueError: sources of this kind have no revisions.
        """
        if self.scheme not in ("hf", "wandb"):
            raise ValueError(f"{self.address} has no revisions; only hf:// and wandb:// sources have: leave @ out")
        return parse_source(f"{self.scheme}://{self.holder}/{self.file}@{revision}")


def parse_source(address: str) -> Source:
    """Parse an address.

    Raises:
        ValueError: it has none of the forms above, or its path could leave the folder it belongs to.
    """
    scheme, separator, rest = address.partition("://")
    if not separator or scheme not in SCHEMES:
        raise ValueError(f"'{address}' is no source; expected one that begins with {', '.join(SCHEMES)} and ://")
    if scheme in HOLDERS:
        pattern, form = HOLDERS[scheme]
        match = re.fullmatch(pattern, rest)
        if match is None:
            raise ValueError(f"'{address}' is no source; expected {form}")
        source = Source(address, scheme, match[1], match[2], match[3] or None)
    elif scheme == "file":
        source = Source(address, scheme, "", str(Path(rest).expanduser()), None)
        if not Path(source.file).is_absolute():
            raise ValueError(f"'{address}' is no source; expected file:// and an absolute path")
    else:
        parts = urlsplit(address)
        if not parts.hostname or parts.username is not None:
            raise ValueError(f"'{address}' is no source; expected {scheme}://HOST/FILE, without a user or password")
        source = Source(address, scheme, "", unquote(parts.path), None)
    folders = "/".join([source.holder or "none", source.file.strip("/"), source.revision or "none"]).split("/")
    if not FILE_NAME.fullmatch(source.file_name) or any(part in ("", ".", "..") for part in folders):
        raise ValueError(f"'{address}' is no source; expected a path that ends in a file's name, without .. in it")
    return source


def local_path(source: Source) -> Path | None:
    """Return the path of a file that is used without a copy; None for a source to download from.

    Raises:
        ValueError: the package is not installed.
    """
    if source.scheme == "package":
        return package_file(source.holder, source.file)
    return Path(source.file) if source.scheme == "file" else None


def package_file(package: str, name: str) -> Path:
    """Return the path of a file in an installed package, without importing the package; the file may be missing.

    Args:
        package: its import name, `outer.inner` for a package in another.
        name: of the file, relative to the package.

    Raises:
        ValueError: no such package is installed, or the file would lie outside it.
    """
    parts = package.split(".")
    if Path(name).is_absolute() or ".." in Path(name).parts or not all(part.isidentifier() for part in parts):
        raise ValueError(f"{package} and {name}: expected an import name, and a file inside that package")
    outermost, *inner = parts
    try:
        specification = importlib.util.find_spec(outermost)
    except (ImportError, ValueError):
        specification = None
    if specification is None or not specification.submodule_search_locations:
        raise ValueError(f"there is no package '{outermost}'; expected the import name of an installed one")
    candidates = [Path(folder, *inner, name) for folder in specification.submodule_search_locations]
    return next((path for path in candidates if path.is_file()), candidates[0])


def fetch(source: Source, partial: Path, size: int | None, report: Report) -> None:
    """Download a file, resuming after a cut.

    Args:
        source: one without a `local_path`.
        partial: the file to write; the caller checks its content.
        size: in bytes, if it is known beforehand.
        report: called with the progress.

    Raises:
        ZooError: the download failed; the bytes received so far are kept for the next attempt.
    """
    if source.scheme in ("https", "http"):
        download(source.address, partial, size, report)
        return
    library, get = {"hf": ("the Hugging Face Hub", from_hub), "wandb": ("W&B", from_wandb)}[source.scheme]
    folder = partial.with_name(f"{partial.name}.{source.scheme}")
    try:
        downloaded = get(source, folder)
    except Exception as error:  # both libraries raise errors of many kinds
        raise ZooError(f"{source.address} could not be had from {library} ({first_line(error)}).") from error
    downloaded.replace(partial)
    shutil.rmtree(folder, ignore_errors=True)


def from_hub(source: Source, folder: Path) -> Path:
    """Download a file from the Hugging Face Hub, with the token of this machine if there is one."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    # Without a network the download would retry for half a minute; this request fails at once.
    get_hf_file_metadata(hf_hub_url(source.holder, source.file, revision=source.revision), timeout=HUB_TIMEOUT)
    return Path(hf_hub_download(source.holder, source.file, revision=source.revision, local_dir=folder))


def from_repository(address: str, offline: bool) -> Path:
    """Return the weights of a repository of the Hugging Face Hub, in the cache of huggingface_hub.

    Args:
        address: `hf://OWNER/REPO`, where the repository has one safetensors file, or `hf://OWNER/REPO/FILE`; either
            with `@REVISION`.
        offline: use the cache alone.

    Raises:
        ZooError: another form, several files to choose from, or the Hub does not send the file.
    """
    match = REPOSITORY.fullmatch(address)
    if match is None:
        raise ZooError(f"'{address}' is no source; expected hf://OWNER/REPO, hf://OWNER/REPO/FILE or …@REVISION.")
    repository, file, revision = match.groups()
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download

    try:
        if offline:
            folder = Path(snapshot_download(repository, revision=revision, local_files_only=True))
            names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.safetensors")]
        else:  # fails at once without a network, unlike the download
            siblings = HfApi().model_info(repository, revision=revision, timeout=HUB_TIMEOUT).siblings or []
            names = [sibling.rfilename for sibling in siblings if sibling.rfilename.endswith(".safetensors")]
        if file is not None or len(names) == 1:
            return Path(hf_hub_download(repository, file or names[0], revision=revision, local_files_only=offline))
    except Exception as error:  # of many kinds
        advice = "pull it once with a network" if offline else "ZOO_OFFLINE=1 uses what was pulled before"
        problem = f"{address} could not be had from the Hugging Face Hub ({first_line(error)})"
        raise ZooError(f"{problem}: {advice}.") from error
    choice = "".join(f", hf://{repository}/{name}" for name in sorted(names))
    raise ZooError(f"{address} has {len(names)} safetensors files, expected one: name the file{choice}.")


def first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    return (next(iter(str(error).strip().splitlines()), "") or type(error).__name__).rstrip(".")


def from_wandb(source: Source, folder: Path) -> Path:
    """Download a file of a W&B artifact, with the API key of this machine."""
    import wandb

    artifact = wandb.Api().artifact(f"{source.holder}:{source.revision or 'latest'}")
    return Path(artifact.get_entry(source.file).download(root=str(folder)))
