"""Where the images are: the files below each class folder."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gwa_attrib.datasets.messages import printable
from gwa_attrib.datasets.readers.image_file import OTHER_PICTURES, SUFFIXES
from gwa_attrib.datasets.skipped import Skipped
from gwa_attrib.errors import DataError


@dataclass(frozen=True)
class FoundImages:
    """Image files by class and path, and what else was there."""

    files: list[Path]
    ignored: list[Skipped]


def find_images(root: Path) -> FoundImages:
    """All files with the suffix of an image below the sub-folders of `root`, sorted by class and path.

    Hidden files and folders are passed over. A link to a file is followed wherever it leads, and so is a class folder
    that is a link; a link to a folder further down is not: it could lead in circles, or into another class.

    Raises:
        DataError: `root` has no sub-folders, or they hold no images.
    """
    if not _is(root, Path.is_dir):
        raise DataError(expected=f"a folder {root}", found="no such folder", todo="Check the path.")
    ignored: list[Skipped] = []
    files: list[Path] = []
    classes = 0
    for entry in _entries(root, root, ignored):
        if not _is(entry, Path.is_dir):
            ignored.append(_because(entry, root, "not in a class folder"))
            continue
        classes += 1
        inside = sorted(_images_below(entry, root, ignored))
        files += inside
        if not inside:
            ignored.append(_because(entry, root, "no images in this folder"))
    if not files:
        raise DataError(
            expected=f"a folder with one sub-folder of images per class in {root}",
            found=f"{classes} sub-folders and no image in them" if classes else "no sub-folders",
            todo=f"Sort the images into one sub-folder per class; read are {', '.join(sorted(SUFFIXES))}.",
        )
    return FoundImages(files, ignored)


def _images_below(folder: Path, root: Path, ignored: list[Skipped]) -> Iterator[Path]:
    folders = [folder]
    while folders:
        for entry in _entries(folders.pop(), root, ignored):
            if _is(entry, Path.is_dir):
                if entry.is_symlink():
                    ignored.append(_because(entry, root, "a link to a folder, not followed"))
                else:
                    folders.append(entry)
            elif entry.suffix.lower() in OTHER_PICTURES:
                ignored.append(_because(entry, root, "a picture in a format that is not read", damaged=True))
            elif entry.suffix.lower() not in SUFFIXES:
                ignored.append(_because(entry, root, "not an image"))
            elif _is(entry, Path.is_file):
                yield entry
            else:
                ignored.append(_because(entry, root, "a link to nothing, or no regular file", damaged=True))


def _entries(folder: Path, root: Path, ignored: list[Skipped]) -> list[Path]:
    """What is in the folder and not hidden, sorted by name."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        ignored.append(_because(folder, root, f"cannot be opened: {error.strerror}", damaged=True))
        return []


def _is(entry: Path, test: Callable[[Path], bool]) -> bool:
    try:
        return test(entry)
    except OSError:  # a link in a circle, a name that is too long
        return False


def _because(path: Path, root: Path, reason: str, *, damaged: bool = False) -> Skipped:
    return Skipped(printable(path.relative_to(root).as_posix()), reason, damaged)
