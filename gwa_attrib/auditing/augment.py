"""Random shifts and flips of a batch of images: each epoch sees another view of a sample."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def shift_and_flip(
    images: Float[Tensor, "sample channel height width"], *, flip: bool, generator: torch.Generator | None = None
) -> Float[Tensor, "sample channel height width"]:
    """Move each image by up to an eighth of its size, zeros coming in; with `flip`, mirror half of them."""
    n, _, height, width = images.shape
    if flip:
        mirrored = torch.rand(n, generator=generator) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    reach_y, reach_x = max(1, height // 8), max(1, width // 8)
    padded = F.pad(images, [reach_x, reach_x, reach_y, reach_y])
    top = torch.randint(0, 2 * reach_y + 1, (n, 1), generator=generator)
    left = torch.randint(0, 2 * reach_x + 1, (n, 1), generator=generator)
    rows = (top + torch.arange(height))[:, :, None]
    columns = (left + torch.arange(width))[:, None, :]
    which = torch.arange(n)[:, None, None]
    return padded.permute(0, 2, 3, 1)[which, rows, columns].permute(0, 3, 1, 2)
