"""The four commands of the README, on a folder of pictures."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import gwa_attrib as gwa
from tests import ROOT

README = ROOT / "README.md"


def photos(folder: Path, rows: range, wrong: int) -> None:
    """Digits 0 to 2 as files in class folders; the first `wrong` in the folder of the next class."""
    pictures, labels = load_digits(n_class=3, return_X_y=True)
    for i in rows:
        label = (labels[i] + (i - rows.start < wrong)) % 3
        file = folder / f"class {label}" / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pictures[i].reshape(8, 8) * 15.9).astype(np.uint8)).save(file)


@pytest.mark.slow
def test_from_a_folder_to_a_cleaned_folder_and_a_number(tmp_path: Path) -> None:
    photos(tmp_path / "photos", range(90), wrong=12)
    photos(tmp_path / "photos-test", range(90, 150), wrong=0)
    (block,) = re.findall(r"```bash\n(gwa-attrib audit photos/.*?)```", README.read_text(), flags=re.DOTALL)
    commands = block.strip().splitlines()
    assert len(commands) == 4
    commands[0] += " --budget fast --epochs 8"  # the test has less patience
    said = []
    for number, command in enumerate(commands):
        words = shlex.split(command)[1:]
        done = subprocess.run(
            [sys.executable, "-m", "gwa_attrib.cli", *words], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
        if number == 0:  # what a person does in the report
            gwa.decide(gwa.open_run(tmp_path / "runs" / "photos"), "drop").write(tmp_path / "decisions.csv")
    left = {file.name for file in (tmp_path / "photos-clean").rglob("*.png")}
    dropped = {f"{i}.png" for i in range(90)} - left
    assert len(dropped & {f"{i}.png" for i in range(12)}) > 6
    assert "95 % intervals" in said[2]
    assert "points" in (tmp_path / "runs" / "photos" / "report.html").read_text(encoding="utf-8")
