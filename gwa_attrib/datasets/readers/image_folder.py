"""A folder with one sub-folder of images per class: where the images are, and what is made of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gwa_attrib.datasets.labeled import LabeledData, Skipped, ordered
from gwa_attrib.datasets.labels import class_labels
from gwa_attrib.datasets.loading import choose_reader
from gwa_attrib.datasets.messages import printable, storable
from gwa_attrib.datasets.readers.image_file import OTHER_PICTURES, SUFFIXES
from gwa_attrib.datasets.readers.image_set import read_images
from gwa_attrib.datasets.readers.registry import Options, readers, refuse_columns
from gwa_attrib.errors import DataError


@readers.register("image-folder", source="the layout of torchvision.datasets.ImageFolder")
def read_image_folder(location: str, options: Options) -> LabeledData:
    """A folder with one sub-folder of images (PNG, JPEG, GIF, BMP, TIFF, WebP, PPM) per class.

    See `find_images` for the files that are read, `read_images` for their common size and colours, and `read_pixels`
    for transparency, orientation and depth. Keys are paths within the folder.

    Raises:
        DataError: no class folders, no readable images; with `strict` also: an image that cannot be read.
    """
    refuse_columns("an image folder", options)
    root = Path(location)
    found = find_images(root)
    images = read_images(found.files[: options.limit])
    refused = [Skipped(_within(root, path), reason, damaged=True) for path, reason in images.refused.items()]
    if refused and (options.strict or not images.files):
        raise DataError(
            expected=f"readable images in {root}",
            found=f"{len(refused)} of {len(refused) + len(images.files)} that are not: "
            + "; ".join(str(one) for one in refused[:5])
            + (" …" if len(refused) > 5 else ""),
            todo="Repair or remove them" + (", or read without strict to leave them out." if images.files else "."),
        )
    keys = tuple(storable(path.relative_to(root).as_posix()) for path in images.files)
    folders = np.array([key.partition("/")[0] for key in keys], dtype=object)
    labels, class_names = class_labels(folders, f"the sub-folders of {root}")
    name = printable(root.resolve().name) + "/"
    skipped = ordered((*refused, *found.ignored))
    return LabeledData(name, location, "image", images.pixels, labels, class_names, keys, {}, skipped)


def folder_of(data: LabeledData) -> Path | None:
    """The folder that the data were read from; None if they were not read from an image folder."""
    try:
        reader, location = choose_reader(data.source)
    except DataError:
        return None  # made by hand, or the folder has gone
    return Path(location) if reader.name == "image-folder" else None


def image_file(root: Path, key: str) -> Path | None:
    """The file of the sample with this key in an image folder; None if it has gone."""
    try:
        direct = root / key
        if direct.is_file():
            return direct
        return image_files(root).get(key) if "\\" in key else None
    except (OSError, ValueError, DataError):
        return None


def image_files(root: Path) -> dict[str, Path]:
    """The files of an image folder by the keys of their samples. A key is no path: a name that is no UTF-8 is escaped.

    Raises:
        DataError: the folder has no images.
    """
    return {storable(path.relative_to(root).as_posix()): path for path in find_images(root).files}


def _within(root: Path, path: Path) -> str:
    return printable(path.relative_to(root).as_posix())


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
    """List what is in the folder and not hidden, sorted by name."""
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
    return Skipped(_within(root, path), reason, damaged)
