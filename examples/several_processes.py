"""torchrun: record a training on two processes (DDP) on digits with 5 % wrong labels, and list the suspects.

Run it with  torchrun --nproc-per-node 2 examples/several_processes.py  and it prints, among others:
20 of the 20 worst samples have a wrong label.
"""

import argparse
import tempfile

import torch
import torch.distributed as dist
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import gwa_attrib as gwa


def main(epochs: int, folder: str) -> None:
    torch.manual_seed(0)
    images, clean = load_digits(return_X_y=True)
    x, y = torch.tensor(images, dtype=torch.float32) / 16, torch.tensor(clean)
    wrong = torch.randperm(len(y))[: len(y) // 20]
    y[wrong] = (y[wrong] + torch.randint(1, 10, (len(wrong),))) % 10

    train_set = TensorDataset(x, y)
    sampler = DistributedSampler(train_set)  # gives each process its share, and one sample twice: 1,797 is odd
    loader = DataLoader(train_set, batch_size=16, sampler=sampler)
    model = DistributedDataParallel(nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)))
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)

    with gwa.record(model, folder, num_samples=len(y), optimizer=optimizer) as recorder:  # in every process
        for epoch in range(epochs):
            sampler.set_epoch(epoch)
            for xb, yb in recorder.batches(loader):
                F.cross_entropy(model(xb), yb).backward()
                recorder.step(yb)
                optimizer.step()
                optimizer.zero_grad()
            summary = recorder.end_epoch()  # of all processes, and the same in each
    if dist.get_rank() == 0:
        print(f"mean alignment {summary.mean:.3f} of {summary.n} observations, coverage {summary.coverage:.0%}")
        suspects = gwa.rank(gwa.open_run(folder), "mislabeled")
        print(suspects.to_frame().sort_values("rank").head(20).to_string())
        found = torch.isin(torch.from_numpy(suspects.top(20)), wrong).sum().item()
        print(f"{found} of the 20 worst samples have a wrong label.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fast", action="store_true", help="fewer epochs")
    options = parser.parse_args()
    dist.init_process_group("gloo")
    with tempfile.TemporaryDirectory() as own:
        shared = [own]
        dist.broadcast_object_list(shared)  # one folder for all
        main(epochs=4 if options.fast else 20, folder=f"{shared[0]}/run")
        dist.barrier()
    dist.destroy_process_group()
