"""Inputs as one tensor: against plain float64 arithmetic, and laws."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from gwa_attrib.datasets import LabeledData, encode, load
from gwa_attrib.datasets.encoding.columns import FARTHEST
from gwa_attrib.datasets.encoding.inputs import CHUNK
from tests.datasets.refused_data import HOSTILE, refused


@pytest.fixture(autouse=True)
def no_sentence_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts are encoded without a pretrained model here, whatever is installed; see test_texts for the other."""
    monkeypatch.setattr("gwa_attrib.datasets.encoding.texts.PACKAGES", ("no_such_package",))


def data_of(kind: str, inputs: object) -> LabeledData:
    n = len(inputs)
    labels = np.arange(n, dtype=np.int64) % 2
    return LabeledData("x", "x", kind, inputs, labels, ("a", "b"), tuple(map(str, range(n))))


def images(x: np.ndarray) -> LabeledData:
    return data_of("image", x)


def table(**columns: object) -> LabeledData:
    return data_of("table", pd.DataFrame(columns))


def texts(values: list[str]) -> LabeledData:
    return data_of("text", np.array(values, dtype=object))


def sentences(n: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    words = np.array([f"word{i}" for i in range(40)])
    return [" ".join(rng.choice(words, size=9)) for _ in range(n)]


EXAMPLES = {
    "digits": lambda: load("digits", limit=200),
    "float image": lambda: images(np.random.default_rng(0).normal(5, 3, size=(30, 6, 5, 3)).astype(np.float32)),
    "table": lambda: table(
        a=np.random.default_rng(0).normal(size=40),
        b=[None, 1.5] * 20,
        c=["x", "y", None, "z"] * 10,
        d=[True, False] * 20,
        e=sentences(40),
    ),
    "text": lambda: texts(sentences(50)),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_same_data_give_the_same_tensor(name):
    first, again = encode(EXAMPLES[name]()), encode(EXAMPLES[name]())
    assert first.dtype == torch.float32
    assert torch.isfinite(first).all()
    assert torch.equal(first, again)


@pytest.mark.parametrize("name", EXAMPLES)
def test_labels_and_columns_have_no_part_in_it(name):
    data = EXAMPLES[name]()
    other = dataclasses.replace(data, labels=1 - data.labels % 2, columns={"gold": data.labels}, keys=data.keys[::-1])
    assert torch.equal(encode(data), encode(other))


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_inputs_are_left_as_they_were(name):
    data = EXAMPLES[name]()
    before = data.fingerprint()
    encode(data)
    assert data.fingerprint() == before


@pytest.mark.parametrize("name", ["digits", "float image", "table"])
def test_a_row_of_the_tensor_is_a_row_of_the_data(name):
    data = EXAMPLES[name]()
    order = np.random.default_rng(1).permutation(len(data))
    frame = isinstance(data.inputs, pd.DataFrame)
    numbers = data.inputs[["a", "b", "c"]] if frame else data.inputs
    shuffled = numbers.iloc[order].reset_index(drop=True) if frame else numbers[order]
    whole = encode(dataclasses.replace(data, inputs=numbers))
    torch.testing.assert_close(encode(dataclasses.replace(data, inputs=shuffled)), whole[order], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(7, 5, 4, 1), (7, 4, 5, 3), (CHUNK + 3, 2, 1, 1)])
def test_images_against_plain_arithmetic(rng, dtype, shape):
    x = rng.integers(0, 256, size=shape).astype(dtype)
    wide = x.astype(np.float64)
    expected = (wide - wide.mean(axis=(0, 1, 2))) / wide.std(axis=(0, 1, 2))
    encoded = encode(images(x))
    np.testing.assert_allclose(encoded.numpy(), expected.transpose(0, 3, 1, 2), atol=1e-6)
    assert encoded.is_contiguous()


def test_each_channel_has_mean_0_and_variance_1(rng):
    x = (rng.normal(size=(50, 6, 7, 3)) * [1, 1e-6, 1e9] + [1e4, 0, -1e12]).astype(np.float32)
    encoded = encode(images(x)).double()
    torch.testing.assert_close(encoded.mean(dim=(0, 2, 3)), torch.zeros(3, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(encoded.var(dim=(0, 2, 3), correction=0), torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("value", [0.0, 0.1, 1e-30, 3e38])
def test_a_constant_channel_is_only_centred(rng, value):
    x = rng.normal(size=(5, 4, 4, 3)).astype(np.float32)
    x[..., 1] = value
    encoded = encode(images(x))
    assert (encoded[:, 1] == 0).all()
    assert encoded[:, 0].std() > 0.9


def test_the_largest_floats_do_not_overflow():
    x = np.array([3e38, -3e38], dtype=np.float32).reshape(2, 1, 1, 1)
    assert encode(images(x)).flatten().tolist() == [1.0, -1.0]


def test_numbers_have_mean_0_and_variance_1(rng):
    encoded = encode(
        table(a=rng.normal(3, 9, size=300), b=rng.uniform(size=300) * 1e-8, c=rng.integers(0, 9, size=300))
    )
    assert encoded.shape == (300, 3)
    torch.testing.assert_close(encoded.mean(dim=0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(encoded.std(dim=0, correction=0), torch.ones(3))


def test_a_missing_number_is_the_median_and_said_to_be_missing():
    values = [1.0, np.nan, 2.0, 9.0, np.nan]
    filled = np.array([1.0, 2.0, 2.0, 9.0, 2.0])
    missing = np.array([0.0, 1, 0, 0, 1])
    encoded = encode(table(a=values)).numpy()
    for column, expected in zip(encoded.T, [filled, missing], strict=True):
        np.testing.assert_allclose(column, (expected - expected.mean()) / expected.std(), atol=1e-6)


def test_every_bit_pattern_of_nan_is_a_missing_number():
    signalling = np.array([0x7FF0000000000001], dtype=np.uint64).view(np.float64)[0]
    column = np.array([1.0, 0.0, 2.0, 9.0, 0.0])
    expected = encode(table(a=np.where(column == 0, np.nan, column)))
    column[[1, 4]] = signalling
    assert torch.equal(encode(table(a=column)), expected)


def test_a_column_with_nothing_in_it_does_no_harm(rng):
    encoded = encode(table(a=rng.normal(size=6), b=[np.nan] * 6, c=[None] * 6, d=[3.0] * 6))
    assert torch.isfinite(encoded).all()


def test_wild_values_are_clipped(rng):
    values = rng.normal(size=1000)
    values[7], values[8] = 1e300, -1e300
    encoded = encode(table(a=values))[:, 0]
    assert encoded.abs().max() == FARTHEST
    assert torch.isfinite(encoded).all()


def test_categories_are_one_hot():
    encoded = encode(table(c=["b", "a", "b", None])).numpy()
    np.testing.assert_array_equal(encoded, [[0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])


def test_bools_are_categories():
    np.testing.assert_array_equal(encode(table(c=[True, False, True])).numpy(), [[0, 1], [1, 0], [0, 1]])


def test_rare_categories_share_a_feature():
    names = [f"c{i:03d}" for i in range(150)]
    values = [name for i, name in enumerate(names) for _ in range(3 if i < 100 else 1)]
    encoded = encode(table(c=values)).numpy()
    assert encoded.shape == (350, 101)
    np.testing.assert_array_equal(encoded.sum(axis=1), 1)
    np.testing.assert_array_equal(encoded[:300, :100], np.repeat(np.eye(100), 3, axis=0))
    np.testing.assert_array_equal(encoded[300:, 100], 1)


def test_hostile_categories_and_column_names():
    data = data_of("table", pd.DataFrame({name: [*HOSTILE, "a", "a"] for name in HOSTILE[:3]}))
    assert encode(data).shape == (10, 27)


def test_texts_in_a_table_are_up_to_64_features(rng):
    assert encode(table(a=rng.normal(size=100), t=sentences(100), u=sentences(100, seed=1))).shape == (100, 129)
    assert encode(table(a=rng.normal(size=9), t=sentences(9))).shape == (9, 1 + 8)
    missing = encode(table(a=rng.normal(size=100), t=[None, *sentences(99)]))
    assert torch.isfinite(missing).all()


def test_texts_are_centred_with_one_scale_for_all_features():
    encoded = encode(texts(sentences(300))).double()
    assert encoded.shape == (300, 256)
    torch.testing.assert_close(encoded.mean(dim=0), torch.zeros(256, dtype=torch.float64), atol=1e-5, rtol=0)
    torch.testing.assert_close(encoded.square().mean(), torch.tensor(1.0, dtype=torch.float64), atol=1e-5, rtol=0)
    assert encoded[:, 1].std() > 2 * encoded[:, -1].std()


def test_equal_texts_are_equal_and_similar_ones_near():
    encoded = encode(texts([*sentences(40), "red apple pie sweet", "red apple pie sweet", "red apple pie sour"]))
    torch.testing.assert_close(encoded[40], encoded[41], atol=1e-4, rtol=0)
    near = torch.linalg.vector_norm(encoded[40] - encoded[42])
    far = torch.linalg.vector_norm(encoded[40] - encoded[:40], dim=1).min()
    assert near < far


@pytest.mark.parametrize(
    "values",
    [
        ["今天天气很好", "我喜欢吃苹果", "天气不好", "苹果很好吃", "今天吃苹果", "我不喜欢天气"],
        ["a", "b", "c", "a b", "b c", "c a"],
        ["word one", "word one more", "今天天气", "天气不好", "我吃苹果", "苹果不好"],
        ["😀", "😀😃", "😃", "🐈", "🐈😀", "!"],
    ],
)
def test_texts_without_words_are_told_apart_by_characters(values):
    encoded = encode(texts(values))
    assert torch.isfinite(encoded).all()
    different = len(set(values))
    assert len(torch.unique((encoded * 1e3).round(), dim=0)) == different


@pytest.mark.parametrize(
    "values", [["same text here"] * 4, ["one", "two"], ["x", "x"], [*HOSTILE], ["", "", "one", ""]]
)
def test_few_or_equal_texts_give_finite_features(values):
    encoded = encode(texts(values))
    assert len(encoded) == len(values)
    assert encoded.shape[1] >= 1
    assert torch.isfinite(encoded).all()
    if len(set(values)) == 1:
        assert (encoded == 0).all()


@pytest.mark.parametrize("values", [["", "", ""], [" ", "\n", "\t\t"]])
def test_texts_without_any_character_are_refused(values):
    with refused("texts to learn from", "3 empty ones"):
        encode(texts(values))


def test_a_classifier_learns_from_an_encoded_table(rng):
    """The encoding keeps what the label depends on, in each kind of column."""
    from sklearn.linear_model import LogisticRegression

    labels = rng.integers(0, 2, size=400)
    noise = rng.normal(size=400)
    signals = {
        "number": labels * 3 + noise,
        "category": np.where(labels == 1, "yes", "no"),
        "missing": np.where(labels == 1, np.nan, noise),
        "text": [f"{'good' if y else 'bad'} {text}" for y, text in zip(labels, sentences(400), strict=True)],
    }
    for name, column in signals.items():
        x = encode(table(**{name: column, "noise": noise})).numpy()
        assert LogisticRegression().fit(x[:200], labels[:200]).score(x[200:], labels[200:]) > 0.85, name
