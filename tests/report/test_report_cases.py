"""Runs that are short, empty, broken off or odd, and what the report says of them; errors and writing."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small_runs import blobs, record_run

import gwa_attrib as gwa
from gwa_attrib.datasets.labeled import LabeledData
from gwa_attrib.errors import InputError, RunFormatError
from gwa_attrib.store import Run
from report.markup import Node, read_page

NAMES = ("a", "b", "c", "d")


def text_of(page: Node, section: str) -> str:
    return " ".join(page.by_id(section).text.replace("\u00a0", " ").split())


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
    assert "Only 1 epoch recorded" in text_of(page, "cautions")
    assert "at least two epochs" in text_of(page, "data_map")
    assert not page.by_id("generalisation").all("svg")
    assert page.by_id("alignments").all("svg")


def test_two_classes(tmp_path: Path, reported: Callable[..., Node]) -> None:
    x, labels = blobs(120, 2, 10)
    page = reported(record_run(tmp_path / "run", x, labels, ("no", "yes")))
    assert "10 suspects among 120 samples" in text_of(page, "summary")
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
    table = page.by_id("class_pairs").all("table")[0]
    rows = table.all("tbody")[0].all("tr")
    assert len(rows) == 15
    counts = [int(cell.text) for row in rows for cell in row.all("td") if cell.text]
    assert max(counts) == 6
    total = len(page.by_id("suspects").all("tr")) - 1
    assert f"{total - sum(counts)} of {total} suspects lie outside" in text_of(page, "class_pairs")
    assert "85 more classes" in text_of(page, "summary")


def test_no_suspects(tmp_path: Path, reported: Callable[..., Node]) -> None:
    x, labels = blobs(120, 4, 0)
    page = reported(record_run(tmp_path / "run", x, labels, NAMES))
    assert "No suspects among 120 samples" in text_of(page, "summary")
    assert not page.all("button")
    assert len(page.all("svg")) == 3


def test_unseen_samples_and_epochs_with_gaps(tmp_path: Path, reported: Callable[..., Node]) -> None:
    x, labels = blobs(123, 4, 10)
    seen = [np.arange(120), np.arange(0, 120, 2), np.arange(120), np.arange(5, 120), np.arange(120)]
    page = reported(record_run(tmp_path / "run", x, labels, NAMES, epochs=5, seen=seen))
    cautions = text_of(page, "cautions")
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
    assert "720 observations have no alignment" in text_of(page, "cautions")
    assert "GWA is unreliable in 6 epochs (0, 1, 2, 3, 4 and 5)" in text_of(page, "cautions")
    assert "No alignment was defined in any epoch" in text_of(page, "alignments")
    svg = page.by_id("generalisation").all("svg")[0].text
    assert "GWA" not in svg
    assert "training accuracy" in svg


def test_signals_that_were_not_recorded(tmp_path: Path, reported: Callable[..., Node]) -> None:
    """With scores from elsewhere, a run of alignments alone is enough."""
    x, labels = blobs(120, 4, 10)
    whole = record_run(tmp_path / "whole", x, labels, NAMES)
    run = record_run(tmp_path / "run", x, labels, NAMES, signals=["alignment"])
    page = reported(run, scores=gwa.rank(whole))
    assert "was not recorded" in text_of(page, "data_map")
    assert page.by_id("alignments").all("svg")


def test_interrupted_and_small_classes(tmp_path: Path, reported: Callable[..., Node]) -> None:
    x, labels = blobs(120, 3, 0)
    labels[:3] = 3

    def broken_off() -> None:
        record_run(tmp_path / "run", x, labels, ("a", "b", "c", "rare", "none"), metrics=[{}] * 5)

    with pytest.raises(IndexError):  # the sixth epoch has no metrics
        broken_off()
    cautions = text_of(reported(gwa.open_run(tmp_path / "run")), "cautions")
    assert "The training was interrupted" in cautions
    assert "1 class has fewer than 5 samples (rare)" in cautions
    assert "1 class has no sample at all: none" in cautions


def test_a_run_without_blemish_says_so(plain_run: Run, reported: Callable[..., Node]) -> None:
    assert "Nothing to warn of" in text_of(reported(plain_run), "cautions")


def test_gwa_is_drawn_only_where_it_is_reliable(plain_run: Run, reported: Callable[..., Node]) -> None:
    """Two groups of equal size: the kurtosis is near its pole."""
    x, labels = blobs(200, 2, 0)
    labels[: len(labels) // 2] = 1 - labels[: len(labels) // 2]
    run = record_run(plain_run.path.parent / "bimodal", x, labels, ("no", "yes"), epochs=6)
    unreliable = int((~run.epochs()["gwa_reliable"].astype(bool)).sum())
    assert unreliable > 0
    page = reported(run)
    assert f"GWA is unreliable in {unreliable} epoch" in text_of(page, "cautions")


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
        assert quote.startswith(f"text {number}\nsecond line long")
        assert quote.endswith("…")
        assert len(quote) <= 700


def test_table_data(tmp_path: Path, reported: Callable[..., Node]) -> None:
    x, labels = blobs(120, 4, 10)
    run = record_run(tmp_path / "run", x, labels, NAMES)
    frame = pd.DataFrame({f"<i>{j}": x[:, j].numpy() for j in range(12)} | {"kind": ["p", "q"] * 60})
    data = LabeledData(kind="table", inputs=frame, labels=labels.numpy(), **DATA)
    card = reported(run, data=data).by_id("cards").all("li")[0]
    number = int(card.all("input")[0].attributes["name"].removeprefix("decision-"))
    assert [node.text for node in card.all("dt")] == [*(f"<i>{j}" for j in range(10)), "…"]
    shown = [float(node.text.replace("−", "-")) for node in card.all("dd")[:10]]
    np.testing.assert_allclose(shown, x[number, :10], rtol=1e-3)
    assert card.all("dd")[-1].text == "3 more"


def test_no_data(plain_run: Run, reported: Callable[..., Node]) -> None:
    page = reported(plain_run)
    assert "No data was given" in text_of(page, "gallery")
    assert not page.all("img")
    assert "cannot be shown" not in text_of(page, "cautions")


def test_data_with_other_labels_is_pointed_out(plain_run: Run, reported: Callable[..., Node]) -> None:
    data = [(torch.zeros(1, 4, 4), 4)] * 300
    given = [card.all("bdi")[1].text for card in reported(plain_run).by_id("cards").all("li")]
    other = sum(name != "wasp" for name in given)
    assert 0 < other < 25
    assert f"{other} of the 25 samples" in text_of(reported(plain_run, data=data), "cautions")


def test_data_that_cannot_be_read(plain_run: Run, reported: Callable[..., Node]) -> None:
    class Broken:
        def __getitem__(self, i: int) -> object:
            raise FileNotFoundError(i)

        def __len__(self) -> int:
            return 300

    page = reported(plain_run, data=Broken())
    assert "25 of the 25 samples in the gallery cannot be shown" in text_of(page, "cautions")
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
