"""Runs that are short, empty, broken off or odd, and what the report says of them; errors and writing."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import gwa_attrib as gwa
from gwa_attrib.datasets.labeled import LabeledData
from gwa_attrib.errors import InputError, RunFormatError
from gwa_attrib.store import Run
from tests.reporting.markup import Node, facts, read_page
from tests.small_runs import blobs, record_run

NAMES = ("a", "b", "c", "d")


def text_of(page: Node, section: str) -> str:
    return " ".join(page.by_id(section).text.replace("\u00a0", " ").split())


def has(page: Node, name: str) -> bool:
    return any(node.attributes.get("id") == name for node in page.all())


@pytest.fixture
def reported(tmp_path: Path) -> Callable[..., Node]:
    def reported(run: Run, **options: object) -> Node:
        return read_page(gwa.report(run, tmp_path / "report.html", **options))

    return reported


def test_default_path_is_in_the_run(plain_run: Run) -> None:
    assert gwa.report(plain_run) == plain_run.path / "report.html"


def test_one_epoch(tmp_path: Path, reported: Callable[..., Node]) -> None:
    x, labels = blobs(120, 4, 10)
    page = reported(record_run(tmp_path / "run", x, labels, NAMES, epochs=1))
    assert "Only 1 epoch recorded" in text_of(page, "verdict")
    assert not has(page, "data_map")
    assert not page.by_id("generalisation").all("svg")
    assert page.by_id("alignments").all("svg")


def test_two_classes(tmp_path: Path, reported: Callable[..., Node]) -> None:
    x, labels = blobs(120, 2, 10)
    page = reported(record_run(tmp_path / "run", x, labels, ("no", "yes")))
    assert "10 of 120 labels look wrong" in text_of(page, "verdict")
    assert "no →, proposed instead: yes" in text_of(page, "gallery")


def test_a_hundred_classes(tmp_path: Path, reported: Callable[..., Node]) -> None:
    """The map has room for the busiest pairs only, and says how many suspects it leaves out."""
    x, labels = blobs(2500, 100, 0)
    labels[::100][:6] = 1  # 6 of class 0: the busiest pair
    labels[2:60] = (labels[2:60] + 1) % 100
    run = record_run(tmp_path / "run", x, labels, [f"class {i:02}" for i in range(100)], epochs=8)
    ranked = gwa.rank(run)
    wrong = np.isin(np.arange(2500), ranked.top(64))
    assert (wrong == (labels.numpy() != np.arange(2500) % 100)).all()
    scores = dataclasses.replace(ranked, columns={**ranked.columns, "is_label_issue": wrong})
    page = reported(run, scores=scores)
    table = page.by_id("classes").all("table")[2]
    rows = table.all("tbody")[0].all("tr")
    assert len(rows) == 15
    counts = [int(cell.text) for row in rows for cell in row.all("td") if cell.text]
    assert max(counts) == 6
    total = len(facts(page)["suspects"])
    assert f"{total - sum(counts)} of {total} suspects lie outside" in text_of(page, "classes")
    assert "88 more classes" in text_of(page, "classes")


def test_no_suspects(tmp_path: Path, reported: Callable[..., Node]) -> None:
    x, labels = blobs(120, 4, 0)
    page = reported(record_run(tmp_path / "run", x, labels, NAMES))
    assert "None of the 120 labels looks wrong." in text_of(page, "verdict")
    assert not page.all("button", "dialog")
    assert not [name for name in ("gallery", "classes", "suspect_table") if has(page, name)]
    assert len(page.all("svg")) == 3


def test_unseen_samples_and_epochs_with_gaps(tmp_path: Path, reported: Callable[..., Node]) -> None:
    x, labels = blobs(123, 4, 10)
    seen = [np.arange(120), np.arange(0, 120, 2), np.arange(120), np.arange(5, 120), np.arange(120)]
    page = reported(record_run(tmp_path / "run", x, labels, NAMES, epochs=5, seen=seen))
    cautions = text_of(page, "verdict")
    assert "3 samples were never seen" in cautions
    assert f"lowest coverage {60 / 123:.1%}".replace("%", " %") in cautions
    assert "123, of which 3 were never seen" in text_of(page, "recorded")
    odd = next(
        i
        for i, card in enumerate(page.by_id("cards").all("li"))
        if int(card.all("input")[0].attributes["name"][9:]) % 2
    )
    own = [p.attributes["d"] for p in page.by_id("cards").all("li")[odd].all("path") if p.attributes["class"] == "own"]
    assert own[0].count("M") >= 2, "the epoch in which the sample was not seen is a gap"


def test_no_alignment_at_all(tmp_path: Path, reported: Callable[..., Node]) -> None:
    x, labels = blobs(120, 4, 10)
    page = reported(record_run(tmp_path / "run", x, labels, NAMES, zero_weights=True))
    assert "720 observations have no alignment" in text_of(page, "verdict")
    assert "GWA is unreliable in 6 epochs (0, 1, 2, 3, 4 and 5)" in text_of(page, "verdict")
    assert not has(page, "alignments")
    svg = page.by_id("generalisation").all("svg")[0].text
    assert "GWA" not in svg
    assert "training accuracy" in svg


def test_signals_that_were_not_recorded(tmp_path: Path, reported: Callable[..., Node]) -> None:
    """With scores from elsewhere, a run of alignments alone is enough."""
    x, labels = blobs(120, 4, 10)
    whole = record_run(tmp_path / "whole", x, labels, NAMES)
    run = record_run(tmp_path / "run", x, labels, NAMES, signals=["alignment"])
    page = reported(run, scores=gwa.rank(whole))
    assert not has(page, "data_map")
    assert page.by_id("alignments").all("svg")


def test_interrupted_and_small_classes(tmp_path: Path, reported: Callable[..., Node]) -> None:
    x, labels = blobs(120, 3, 0)
    labels[:3] = 3

    def broken_off() -> None:
        record_run(tmp_path / "run", x, labels, ("a", "b", "c", "rare", "none"), metrics=[{}] * 5)

    with pytest.raises(IndexError):  # the sixth epoch has no metrics
        broken_off()
    cautions = text_of(reported(gwa.open_run(tmp_path / "run")), "verdict")
    assert "The training was interrupted" in cautions
    assert "1 class has fewer than 5 samples (rare)" in cautions
    assert "1 class has no sample at all: none" in cautions


def test_a_run_without_blemish_has_no_cautions(plain_run: Run, reported: Callable[..., Node]) -> None:
    page = reported(plain_run)
    assert not [node for node in page.all("ul") if node.attributes.get("class") == "cautions"]
    assert "not learnt" not in text_of(page, "verdict")


def test_gwa_is_drawn_only_where_it_is_reliable(plain_run: Run, reported: Callable[..., Node]) -> None:
    """Two groups of equal size: the kurtosis is near its pole."""
    x, labels = blobs(200, 2, 0)
    labels[: len(labels) // 2] = 1 - labels[: len(labels) // 2]
    run = record_run(plain_run.path.parent / "bimodal", x, labels, ("no", "yes"), epochs=6)
    unreliable = int((~run.epochs()["gwa_reliable"].astype(bool)).sum())
    assert unreliable > 0
    page = reported(run)
    assert f"GWA is unreliable in {unreliable} epoch" in text_of(page, "verdict")


DATA = {"name": "n", "source": "s", "class_names": NAMES, "keys": tuple(f"row {i}" for i in range(120))}


def test_text_data(tmp_path: Path, reported: Callable[..., Node]) -> None:
    x, labels = blobs(120, 4, 10)
    run = record_run(tmp_path / "run", x, labels, NAMES, keys=DATA["keys"])
    texts = np.array([f"text {i}\nsecond line " + "long " * 300 for i in range(120)], dtype=object)
    data = LabeledData(kind="text", inputs=texts, labels=labels.numpy(), **DATA)
    cards = reported(run, data=data).by_id("cards").all("li")
    for card in cards:
        number = card.all("input")[0].attributes["name"].removeprefix("decision-")
        assert card.all("h3")[0].text == f"row {number}"
        quote = card.all("blockquote")[0].text
        assert quote == texts[int(number)]


def test_table_data(tmp_path: Path, reported: Callable[..., Node]) -> None:
    x, labels = blobs(120, 4, 10)
    run = record_run(tmp_path / "run", x, labels, NAMES)
    frame = pd.DataFrame({f"<i>{j}": x[:, j].numpy() for j in range(12)} | {"kind": ["p", "q"] * 60})
    data = LabeledData(kind="table", inputs=frame, labels=labels.numpy(), **DATA)
    card = reported(run, data=data).by_id("cards").all("li")[0]
    number = int(card.all("input")[0].attributes["name"].removeprefix("decision-"))
    names = [node.text for node in card.all("dt")]
    assert len(set(names[:-1]) & set(frame.columns)) == 8
    shown = {name: node.text for name, node in zip(names, card.all("dd"), strict=True)}
    assert shown.pop("…") == "5 more"
    numbers = {name: float(text.replace("−", "-")) for name, text in shown.items() if name != "kind"}
    np.testing.assert_allclose(list(numbers.values()), frame.loc[number, list(numbers)].astype(float), rtol=1e-3)


def test_no_data(plain_run: Run, reported: Callable[..., Node]) -> None:
    page = reported(plain_run)
    assert "made without the data" in text_of(page, "gallery")
    assert not page.all("img")
    assert "cannot be shown" not in text_of(page, "verdict")


def test_data_with_other_labels_is_pointed_out(plain_run: Run, reported: Callable[..., Node]) -> None:
    suspects = gwa.rank(plain_run).to_frame().query("is_label_issue").index
    labels = [4 if i in suspects else label for i, label in enumerate(plain_run.labels.tolist())]
    data = [(torch.zeros(1, 4, 4), label) for label in labels]
    given = [card.all("bdi")[1].text for card in reported(plain_run).by_id("cards").all("li")]
    other = sum(name != "wasp" for name in given)
    assert 0 < other < 25
    assert f"{other} of the 25 samples" in text_of(reported(plain_run, data=data), "verdict")


def test_data_that_cannot_be_read(plain_run: Run, reported: Callable[..., Node]) -> None:
    class Broken:
        def __getitem__(self, i: int) -> object:
            raise FileNotFoundError(i)

        def __len__(self) -> int:
            return 300

    page = reported(plain_run, data=Broken())
    assert "25 of the 25 samples in the gallery cannot be shown" in text_of(page, "verdict")
    assert "could not be read: FileNotFoundError" in text_of(page, "gallery")


def test_a_run_without_epochs_is_refused(tmp_path: Path) -> None:
    with gwa.record(torch.nn.Linear(2, 2), tmp_path / "run", num_samples=4, class_names=("a", "b")):
        pass
    with pytest.raises(RunFormatError):
        gwa.report(gwa.open_run(tmp_path / "run"), tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_wrong_scores_and_data_are_refused(plain_run: Run, hostile_run: Run, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    with pytest.raises(InputError, match="is_label_issue"):
        gwa.report(plain_run, path, scores=gwa.rank(plain_run, "aum"))
    with pytest.raises(InputError, match="of this run"):
        gwa.report(plain_run, path, scores=gwa.rank(hostile_run))
    with pytest.raises(InputError, match="299 samples"):
        gwa.report(plain_run, path, data=["text"] * 299)
    assert not path.exists()
