"""Batch norm in training mode: whose gradients it mixes, and the refusal."""

from collections.abc import Callable, Collection

from torch import nn
from torch.utils.hooks import RemovableHandle

from gwa_attrib.errors import BatchMixingError
from gwa_attrib.gradients.plan import Plan
from gwa_attrib.gradients.rules.normalization import mixes_samples


class BatchNorms:
    """The batch norms of a model, and the recorded layers that ran before the last one that mixed samples."""

    def __init__(self, model: nn.Module, plan: Plan) -> None:
        self._norms = {
            name: module
            for name, module in model.named_modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm)
        }
        self._plan = plan
        self.forget()

    def forget(self) -> None:
        self._ran: list[str] = []
        self._mixed: list[str] = []
        self._by: str | None = None

    def watch(self, counts: Callable[[], bool]) -> list[RemovableHandle]:
        return [module.register_forward_pre_hook(self._hook(name, counts)) for name, module in self._norms.items()]

    def _hook(self, name: str, counts: Callable[[], bool]) -> Callable[..., None]:
        def before(module: nn.Module, args: object) -> None:
            if counts() and mixes_samples(module):
                self._mixed += [*self._ran, name]
                self._ran, self._by = [], name

        return before

    def ran(self, layer: str) -> None:
        self._ran.append(layer)

    @property
    def mixing(self) -> str | None:
        """Name of the last batch norm that mixed; None if none did."""
        return self._by

    def judge(self, ran: Collection[str]) -> None:
        """Raise if one of the recorded layers that ran lies before a batch norm that mixed.

        Raises:
            BatchMixingError: naming the batch norm, some of the layers, and the ways out.
        """
        mixed = [name for name in dict.fromkeys(self._mixed) if self._plan.parameters_of(name)]
        if any(name in ran or name in self._norms for name in mixed):
            raise mixing_error(mixed, self._by)


def refuse_mixed(plan: Plan, ids: Collection[int], by: str | None) -> None:
    """Raise if a recorded parameter is among those (by id) whose gradients pass through something that mixed.

    Raises:
        BatchMixingError: naming them.
    """
    mixed = [name for name, parameter in plan.parameters.items() if id(parameter) in ids]
    if mixed:
        raise mixing_error(mixed, by)


def mixing_error(names: list[str], by: str | None) -> BatchMixingError:
    """Return the error of layers or parameters before a batch norm."""
    shown = ", ".join(repr(name) for name in names[:3]) + (", ..." if len(names) > 3 else "")
    return BatchMixingError(
        expected="each sample's gradient to be its own",
        found=f"{'a batch norm' if by is None else f'the batch norm {by!r}'} in training mode, which mixes the samples "
        f"for {shown}",
        todo="Use GroupNorm instead, freeze the batch norms (module.eval() after model.train()), or record "
        "only what comes after them: layers='head', or layers=[...].",
    )
