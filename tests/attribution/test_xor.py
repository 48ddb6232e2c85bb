"""TracIn on the exclusive-or of two signs: a problem whose proponents are known.

Points and weights are those of captum's own test (tests/influence/_core/test_tracin_xor.py).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gwa_attrib as gwa

SAME_SIGN = [(1, 1), (2, 1), (1, 2), (1, 5), (0.01, 1), (5, 1), (1, 0.01), (-1, -1), (-2, -1), (-1, -2), (-1, -5)]
SAME_SIGN += [(-5, -1)]
OTHER_SIGN = [(1, -1), (2, -1), (1, -2), (1, -5), (0.01, -1), (5, -1), (-1, 1), (-2, 1), (-1, 2), (-1, 5), (-5, 1)]
OTHER_SIGN += [(-1, 0.01)]
# first layer's weight, its bias, second layer's weight, its bias; one row a checkpoint
WEIGHTS = [
    ([[-1.2956, -1.4465], [-0.3890, -0.7420]], [1.2924, 0.0021], [[-1.2013, 0.7174]], [0.5880]),
    ([[-1.3238, -1.4899], [-0.4544, -0.7448]], [1.3185, -0.0317], [[-1.2342, 0.7741]], [0.6234]),
    ([[-1.3546, -1.5288], [-0.5250, -0.7591]], [1.3432, -0.0684], [[-1.2490, 0.8534]], [0.6749]),
    ([[-1.4022, -1.5485], [-0.5688, -0.7607]], [1.3740, -0.1571], [[-1.3412, 0.9013]], [0.6468]),
    ([[-1.4464, -1.5890], [-0.6348, -0.7665]], [1.3791, -0.2008], [[-1.3818, 0.9586]], [0.6954]),
    ([[-1.5217, -1.6242], [-0.6644, -0.7842]], [1.3500, -0.2418], [[-1.4304, 0.9980]], [0.7567]),
    ([[-1.5551, -1.6631], [-0.7420, -0.8025]], [1.3508, -0.2618], [[-1.4272, 1.0772]], [0.8427]),
    ([[-1.5893, -1.6656], [-0.7863, -0.8369]], [1.3949, -0.3215], [[-1.4555, 1.1600]], [0.8730]),
]


def checkpoints() -> list[dict[str, Tensor]]:
    names = ("0.weight", "0.bias", "2.weight", "2.bias")
    return [dict(zip(names, map(torch.tensor, values), strict=True)) for values in WEIGHTS]


def sign(points: Tensor) -> Tensor:
    """1 where both coordinates have one sign, else -1."""
    return torch.where((points[:, 0] > 0) == (points[:, 1] > 0), 1.0, -1.0).unsqueeze(1)


def test_the_strongest_proponents_have_the_querys_class() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1), nn.Tanh())
    train = F.normalize(torch.tensor([*SAME_SIGN, *OTHER_SIGN]))
    labels = torch.cat([torch.ones(12, 1), -torch.ones(12, 1)])
    assert torch.equal(sign(train), labels)
    query = F.normalize(0.5 * torch.randn(100, 2, generator=torch.Generator().manual_seed(0)))
    scores = gwa.attribute(
        model, F.mse_loss, (train, labels), (query, sign(query)), "tracin", layers="all", checkpoints=checkpoints()
    )
    values = torch.from_numpy(scores.values)
    strongest = values.argsort(dim=0, descending=True)[:5]
    assert (labels[strongest, 0] == sign(query)[:, 0]).all()
    assert not (labels[values.argsort(dim=0)[:5], 0] == sign(query)[:, 0]).any()
