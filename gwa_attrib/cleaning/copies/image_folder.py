"""Cleaned copies of a folder of class folders: the same files, what was relabelled in another folder."""

import shutil
from pathlib import Path, PurePosixPath

from gwa_attrib.cleaning.copies.registry import Copied, Source, copies
from gwa_attrib.datasets.messages import printable, storable
from gwa_attrib.datasets.readers.image_folder import find_images
from gwa_attrib.display.progress import bar
from gwa_attrib.errors import DataError


@copies.register("image-folder", source="the layout of torchvision.datasets.ImageFolder")
def copy_image_folder(source: Source, target: Path) -> Copied:
    """Copies of the files, links as what they lead to; images that were not audited go along, damaged ones do not.

    A file that moves to a class folder with one of its name gets the name of its former class behind its own.
    """
    data = source.data
    row = {key: i for i, key in enumerate(data.keys)}
    files = {storable(p.relative_to(source.location).as_posix()): p for p in find_images(source.location).files}
    gone = [key for key in data.keys if key not in files]
    if gone:
        raise source.changed(f"{len(gone)} files that are not there any more, {gone[0]!r} the first")
    damaged = {one.path for one in data.skipped if one.damaged}
    files = {key: file for key, file in files.items() if key in row or printable(key) not in damaged}
    taken: set[str] = set()
    moving = {key for key, i in row.items() if source.labels[i] != data.labels[i]}
    # What moves comes last: it gets another name where one is taken, and no file that stays ever does.
    for key in bar([*(k for k in files if k not in moving), *sorted(moving)], "copying images", unit="file"):
        if key in row and not source.left[row[key]]:
            continue
        place = _place(key, data.class_names[source.labels[row[key]]], taken) if key in moving else key
        taken.add(place)
        _copy(files[key], target / place)
    return Copied(len(taken), len(damaged))


def _place(key: str, new: str, taken: set[str]) -> str:
    """Choose a place below the folder of its new class, under a name that is free."""
    old, *rest = PurePosixPath(key).parts
    place, number = PurePosixPath(new, *rest), 1
    while place.as_posix() in taken:
        name, which = PurePosixPath(rest[-1]), "" if number == 1 else f"-{number}"
        place = PurePosixPath(new, *rest[:-1], f"{name.stem}-{old}{which}{name.suffix}")
        number += 1
    return place.as_posix()


def _copy(file: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)
    except FileNotFoundError as error:
        raise DataError(
            expected=f"the file {file}", found="it has gone while copying", todo="Restore it, and apply again."
        ) from error
