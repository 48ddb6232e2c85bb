"""The facts that a Hugging Face Trainer knows of its data: class names, and the tokenizer of its token ids."""

import re
from typing import Any

from gwa_attrib.datasets.content import class_names_of

_GENERIC = re.compile(r"LABEL_\d+")


def class_names_for(trainer: Any) -> list[str] | None:
    """The names of the ``ClassLabel`` of the training set, or else those that the model was given; None if it has the
    generic ones alone, or if there is not one for each class."""
    config = getattr(trainer.model, "config", None)
    size = getattr(config, "num_labels", None)
    for names in (class_names_of(trainer.train_dataset), _given(getattr(config, "id2label", None))):
        if names and size in (None, len(names)) and len(set(names)) == len(names):
            return names
    return None


def _given(id2label: Any) -> list[str] | None:
    if not isinstance(id2label, dict):
        return None
    numbered = {int(number): str(name) for number, name in id2label.items()}
    if sorted(numbered) != list(range(len(numbered))) or all(_GENERIC.fullmatch(name) for name in numbered.values()):
        return None
    return [numbered[number] for number in range(len(numbered))]


def tokenizer_json(trainer: Any) -> str | None:
    """Return the trainer's tokenizer as JSON; None if it has none, or a slow one, which is Python code.

    It is the processing class, the tokenizer of a processor, or the one that the collator pads with.
    """
    processing = getattr(trainer, "processing_class", None) or vars(trainer).get("tokenizer")
    places = (processing, getattr(processing, "tokenizer", None), getattr(trainer.data_collator, "tokenizer", None))
    for found in places:
        backend = getattr(found, "backend_tokenizer", None)
        if backend is not None:
            return str(backend.to_str())
    return None
