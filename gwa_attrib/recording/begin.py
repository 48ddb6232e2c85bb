"""Beginning to record a training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from gwa_attrib.files.places import place
from gwa_attrib.functional.targets import CrossEntropy
from gwa_attrib.hooks.forward import Forward, forward_batch
from gwa_attrib.hooks.sharding import check_sharded, unwrapped
from gwa_attrib.recording.arguments import (
    check_beginning,
    check_head_engine,
    check_loss,
    checked_facts,
    checked_probe,
    checked_signals,
)
from gwa_attrib.recording.epoch_end import ProbeRecording
from gwa_attrib.recording.head import HeadCapture
from gwa_attrib.recording.layer_recording import LayerRecording
from gwa_attrib.recording.probe import Probe
from gwa_attrib.recording.processes import Processes
from gwa_attrib.recording.recorder import Recorder
from gwa_attrib.recording.samples import SampleBook
from gwa_attrib.store.resumed import whole_epochs
from gwa_attrib.store.run_json import RunInfo, new_info
from gwa_attrib.store.writer import RunWriter


def record(
    model: nn.Module,
    path: str | Path,
    *,
    num_samples: int,
    class_names: Sequence[str] | None = None,
    head: str | nn.Module | None = None,
    layers: str | Sequence[str] = "head",
    engine: str = "auto",
    optimizer: torch.optim.Optimizer | None = None,
    label_smoothing: float = 0.0,
    class_weight: Tensor | None = None,
    signals: Sequence[str] | None = None,
    probe: int | bool | None = None,
    probe_model: nn.Module | None = None,
    probe_forward: Forward | None = None,
    measures: Sequence[str] = (),
    keys: Sequence[str] | None = None,
    columns: Mapping[str, object] | None = None,
    config: Mapping[str, object] | None = None,
    overwrite: bool = False,
    resume: bool = False,
) -> Recorder:
    """Record the training of `model` into the folder `path`.

    Of a training on several processes (`torch.distributed`) each process records into the same folder: call this and
    `end_epoch` in all of them. Between these calls they do not wait for each other.

    Args:
        model: A classifier with a linear head, trained with cross-entropy on the head's output; wrapped in
            DistributedDataParallel, or its parameters sharded by ``fully_shard``, or not.
        path: Folder of the run: new or empty. Or an address such as ``s3://bucket/run``, with the extra `remote`.
        num_samples: ``len(train_set)``.
        class_names: One per class; their numbers if None.
        head: Name of the final ``nn.Linear``, or the module. None takes the linear layer that runs last.
        layers: "head" records the head's kernel alone. "all" records every trainable parameter too, as a whole and by
            block; a list of names (of modules or parameters) those. Weight gradients of convolutions are then summed
            from per-sample ones: equal up to rounding. Before the first batch the model is called a few times on slices
            of it, in evaluation mode, to check the layers; hooks of your own fire then too.
        engine: How: "auto" and "ghost" by our own rules, "opacus" by Opacus where it is right and by our rules
            elsewhere; "closed_form" goes with the head alone.
        optimizer: If given, its learning rate is stored with every observation.
        label_smoothing: As given to the loss.
        class_weight: As given to the loss, ``[class]``. Left out, the alignment is the same (the direction of a
            gradient does not depend on it), but `loss`, `dot` and `grad_norm` are those of the unweighted loss.
        signals: Which signals to store; None for all: alignment, loss, margin, p_label, el2n, grad_norm, dot,
            top_class, top_prob. The alignment is always stored.
        probe: How many samples of the training set to measure again at the end of each epoch, in evaluation mode and
            all at the same weights; True for all of them. They are drawn once, from the loader given to `batches`, and
            read as it reads them. The model, its buffers and the random numbers are left as they were.
        probe_model: Measure this model instead: an `AveragedModel`, say, where averaged weights are what will be used.
        probe_forward: ``(model, batch) -> targets``: runs the model on a batch of the loader. None for batches
            ``(inputs, targets)``, and dicts with "labels".
        measures: What else to take at the end of each epoch with the probe: gradient_disparity, llid, pid, spectrum,
            projected_alignment; stored as metrics.
        keys: A name per sample (a file name, say), shown in tables and reports; in the order of the training set.
        columns: Further facts per sample, stored beside the labels; in the same order.
        config: Anything JSON-like about the training, stored in run.json.
        overwrite: Replace a run that is there. A folder that is not a run is never touched.
        resume: Go on after the last whole epoch of the run that is there, if there is one, for a training that goes on
            from a checkpoint. Where the checkpoint is older, call ``recorder.rewind(epoch)``.

    Raises:
        RunExistsError: the folder is taken.
        HeadError: the model has no linear layer, or none of that name.
        LayerError: a layer that cannot be measured as it is set up.
        InputError: wrong lengths, unknown signals or layers, or a run to go on with that was begun with other settings.
        UnknownNameError: a measure that does not exist.
    """
    check_beginning(overwrite, resume)
    chosen = checked_signals(signals)
    if layers == "head":
        check_head_engine(engine)
    loss = CrossEntropy(label_smoothing, class_weight)
    check_loss(loss)
    facts = checked_facts(num_samples, keys, columns or {})
    model = unwrapped(model)
    check_sharded(model, layers, measures)
    processes = Processes()
    capture = HeadCapture(model, head)
    recording = None if layers == "head" else LayerRecording(model, layers, engine, capture)
    size, forward = checked_probe(probe, measures), probe_forward or forward_batch
    epoch_probe = Probe(model if probe_model is None else probe_model, size, forward, processes)
    looks = ProbeRecording(epoch_probe, measures, capture, recording, processes, every_epoch=bool(probe))
    info = new_info(
        class_names=class_names,
        signals=chosen,
        num_samples=num_samples,
        config=config or {},
        layers=recording.groups if recording else (),
        world_size=processes.size,
    )

    def begin() -> RunInfo:
        return (RunWriter.go_on(path, info) if resume else RunWriter.create(path, info, overwrite=overwrite)).info

    # One process makes the folder; the others would find it taken.
    writer = RunWriter(place(path), processes.first(begin), processes.rank)
    recorder = Recorder(
        writer,
        capture,
        SampleBook(num_samples, len(class_names) if class_names else None, facts),
        recording,
        looks,
        processes,
        model=model,
        signals=chosen,
        optimizer=optimizer,
        loss=loss,
    )
    if resume:
        recorder.rewind(processes.first(lambda: whole_epochs(writer.path, writer.info)))
        # Last: a run that cannot be gone on with keeps the run.json that it had.
        writer.update_info({})
    return recorder
