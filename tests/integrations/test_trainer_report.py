"""Reports of trainings by the Hugging Face Trainer: names of classes, and token ids as the texts that they were."""

import html
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gwa_attrib as gwa
from gwa_attrib.datasets.content import content_reader
from gwa_attrib.errors import InputError, RunFormatError
from gwa_attrib.store.kept import kept_tokenizer
from tests.integrations.plain import needs
from tests.integrations.test_transformers import recorded, tiny, trainer_of

pytestmark = [needs("transformers", "hf"), pytest.mark.usefixtures("without_type_checks")]

WORDS = "the film was a joy bore from start to end and nobody in hall slept left".split()  # noqa: SIM905
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
SIZE = 24
MOODS = ["angry <b>", "calm", "glad"]


def tokenizer() -> Any:
    """A real fast tokenizer of whole words, made here."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
    found = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    found.pre_tokenizer = pre_tokenizers.Whitespace()
    found.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=found, **special)


def sentences() -> list[str]:
    draw = np.random.default_rng(0)
    return [" ".join(draw.choice(WORDS, draw.integers(2, 6)).tolist()) for _ in range(SIZE)]


def tokenised(*, named: bool = True) -> Any:
    """Token ids, padded to one length, and labels; the texts themselves are not among the columns."""
    from datasets import ClassLabel, Dataset, Features, Sequence, Value

    encoded = tokenizer()(sentences(), padding="max_length", max_length=8, return_token_type_ids=False)
    ids = Sequence(Value("int32"))
    label = ClassLabel(names=MOODS) if named else Value("int64")
    features = Features({"input_ids": ids, "attention_mask": ids, "labels": label})
    return Dataset.from_dict({**encoded, "labels": [i % 3 for i in range(SIZE)]}, features=features)


def trainer(folder: Path, *, named: bool = True, ours: bool = True, model: Any = None) -> Any:
    from gwa_attrib.integrations.transformers import with_sample_ids

    made = trainer_of(folder, with_sample_ids(tokenised(named=named)), model)
    made.processing_class = tokenizer() if ours else None
    return made


def every_sample(run: gwa.Run) -> Any:
    """Scores by which each sample is a suspect, so that each has a card."""
    scores = gwa.rank(run)
    flags = np.ones(SIZE, dtype=bool)
    return type(scores)(
        scores.values,
        scores.sample_ids,
        method=scores.method,
        suspect=scores.suspect,
        columns={**scores.columns, "is_label_issue": flags},
        meta=scores.meta,
    )


def test_cards_show_the_texts_and_the_names_of_the_classes(tmp_path: Path) -> None:
    run = recorded(tmp_path / "run", trainer(tmp_path))
    assert run.class_names == tuple(MOODS)
    page = gwa.report(run, data=tokenised(), scores=every_sample(run)).read_text(encoding="utf-8")
    shown = html.unescape(page)
    assert all(sentence in shown for sentence in sentences())
    assert "[PAD]" not in shown
    assert "[CLS]" not in shown
    assert "angry &lt;b&gt;" in page
    assert "could not be checked" not in shown


def test_the_kept_tokenizer_is_json_and_reads_what_was_trained_on(tmp_path: Path) -> None:
    run = recorded(tmp_path / "run", trainer(tmp_path))
    json.loads((tmp_path / "run" / "tokenizer.json").read_text(encoding="utf-8"))
    read = content_reader(tokenised(), tokenizer=kept_tokenizer(run))
    assert [read(i).text for i in range(SIZE)] == sentences()
    assert [read(i).label for i in range(3)] == MOODS
    ours = content_reader(tokenised(), tokenizer=tokenizer())
    assert [ours(i).text for i in range(SIZE)] == sentences()


def test_a_tokenizer_can_be_given_where_none_was_kept(tmp_path: Path) -> None:
    run = recorded(tmp_path / "run", trainer(tmp_path, ours=False))
    assert kept_tokenizer(run) is None
    scores, data = every_sample(run), tokenised()
    without = html.unescape(gwa.report(run, data=data, scores=scores).read_text(encoding="utf-8"))
    assert not any(sentence in without for sentence in sentences())
    assert "pass tokenizer=" in without
    page = gwa.report(run, data=data, scores=scores, tokenizer=tokenizer()).read_text(encoding="utf-8")
    assert all(sentence in html.unescape(page) for sentence in sentences())


def test_the_collators_tokenizer_is_kept_too(tmp_path: Path) -> None:
    from transformers import DataCollatorWithPadding

    made = trainer(tmp_path, ours=False)
    made.data_collator = DataCollatorWithPadding(tokenizer())
    run = recorded(tmp_path / "run", made)
    assert kept_tokenizer(run).decode([2, 4, 5, 3, 0], skip_special_tokens=True) == "the film"


def test_a_damaged_tokenizer_costs_the_texts_and_not_the_report(tmp_path: Path) -> None:
    run = recorded(tmp_path / "run", trainer(tmp_path))
    (tmp_path / "run" / "tokenizer.json").write_text('{"model": null}')
    with pytest.raises(RunFormatError, match=r"tokenizer\.json"):
        kept_tokenizer(run)
    page = html.unescape(gwa.report(run, data=tokenised(), scores=every_sample(run)).read_text(encoding="utf-8"))
    assert "The tokenizer of the training cannot be used" in page
    assert "pass tokenizer=" in page


def test_a_new_run_does_not_inherit_a_tokenizer(tmp_path: Path) -> None:
    recorded(tmp_path / "run", trainer(tmp_path))
    run = recorded(tmp_path / "run", trainer(tmp_path, ours=False), overwrite=True)
    assert kept_tokenizer(run) is None


@pytest.mark.parametrize(
    ("id2label", "names"),
    [
        (None, ("0", "1", "2")),
        ({0: "red", 1: "green", 2: "blue"}, ("red", "green", "blue")),
        ({0: "LABEL_0", 1: "green", 2: "blue"}, ("LABEL_0", "green", "blue")),
        ({0: "same", 1: "same", 2: "blue"}, ("0", "1", "2")),
    ],
)
def test_the_models_names_are_taken_where_the_data_have_none(id2label: Any, names: Any, tmp_path: Path) -> None:
    model = tiny()
    if id2label is not None:
        model.config.id2label = id2label
    assert recorded(tmp_path / "run", trainer(tmp_path, named=False, model=model)).class_names == names


def test_names_that_are_given_win_and_those_of_a_run_stay(tmp_path: Path) -> None:
    run = recorded(tmp_path / "run", trainer(tmp_path), class_names=["x", "y", "z"])
    assert run.class_names == ("x", "y", "z")
    made = trainer(tmp_path)
    made.args.num_train_epochs = 3
    assert recorded(tmp_path / "run", made, resume=True).class_names == ("x", "y", "z")


def test_shuffled_texts_are_refused(tmp_path: Path) -> None:
    run = recorded(tmp_path / "run", trainer(tmp_path))
    with pytest.raises(InputError, match="in its order"):
        gwa.report(run, tmp_path / "page.html", data=tokenised().select([*range(1, SIZE), 0]))
    assert not (tmp_path / "page.html").exists()


def test_exports_read_the_tokens_too(tmp_path: Path) -> None:
    run = recorded(tmp_path / "run", trainer(tmp_path))
    written = gwa.export(run, "label-studio", tmp_path / "tasks.json", data=tokenised(), k=5)
    tasks = json.loads(written.path.read_text(encoding="utf-8"))
    assert [task["data"]["text"] for task in tasks] == [sentences()[task["data"]["sample_id"]] for task in tasks]
