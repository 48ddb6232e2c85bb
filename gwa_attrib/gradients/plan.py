"""The parameters that are recorded, their groups, and the layer rules that cover them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from gwa_attrib.errors import InputError, LayerError
from gwa_attrib.gradients.blocks import blocks_of, named_groups
from gwa_attrib.gradients.rules.rule import Rule, own_parameters, rule_of


@dataclass(frozen=True)
class Plan:
    """The plan of a capture, fixed before the training begins."""

    parameters: Mapping[str, nn.Parameter]
    """Trainable parameters that are recorded, by their first name in the model."""
    groups: Mapping[str, tuple[str, ...]]
    """Names of the parameters of each group."""
    layers: Mapping[str, nn.Module]
    """Layers with a rule that hold some of them, by name."""
    rules: Mapping[str, Rule]
    how: Mapping[str, str]
    """Name of the rule of each layer."""
    time_major: frozenset[str] = frozenset()
    """Layers and parameters that see ``[time, sample, feature]``."""
    frozen: Mapping[str, nn.Parameter] = field(default_factory=dict)
    """Parameters of the same parts of the model that are not trained."""
    _of_layer: dict[str, dict[str, str]] = field(default_factory=dict)

    def check_frozen(self) -> None:
        """Refuse a parameter that has become trainable since recording began.

        Raises:
            LayerError: naming it.
        """
        changed = [name for name, p in self.frozen.items() if p.requires_grad]
        changed += [name for name, p in self.parameters.items() if not p.requires_grad]
        if changed:
            before, now = ("frozen", "trained") if changed[0] in self.frozen else ("trained", "frozen")
            raise LayerError(
                expected="the recorded layers to train the same parameters as when recording began",
                found=f"{changed[0]!r}, which was {before} then, and is {now} now",
                todo="Freeze and unfreeze before gwa.record(...), or record each phase of the training into a run of "
                "its own.",
            )

    def parameters_of(self, layer: str) -> Mapping[str, str]:
        """Return the recorded parameters that a layer holds: name in the model -> name in the layer."""
        return self._of_layer.get(layer, {})


def make_plan(model: nn.Module, layers: str | Sequence[str]) -> Plan:
    """Make the plan for ``layers="all"``, or for the named modules.

    Raises:
        InputError: a name that is no module with trainable parameters.
        LayerError: a layer that cannot be measured as it is set up.
    """
    groups = blocks_of(model) if layers == "all" else named_groups(model, layers)
    if not groups:
        raise InputError(
            expected="a model with something to train",
            found="no parameter with requires_grad",
            todo="Unfreeze what is to be recorded before gwa.record(...).",
        )
    names = {id(p): name for name, p in model.named_parameters()}
    chosen = {name for members in groups.values() for name in members}
    parameters = {name: p for name, p in model.named_parameters() if name in chosen}
    covered: dict[str, nn.Module] = {}
    rules: dict[str, Rule] = {}
    how: dict[str, str] = {}
    of_layer: dict[str, dict[str, str]] = {}
    inside = _inside_attention(model)
    for layer, module in model.named_modules():
        own = {names[id(p)]: n for n, p in own_parameters(module).items() if names[id(p)] in chosen}
        # A parametrized weight is computed from its parameters: the graph knows how, the rule does not.
        found = rule_of(module) if own and layer not in inside and not is_parametrized(module) else None
        if found is None:
            continue
        reason = found[1].refuses(module)
        if reason:
            raise LayerError(
                expected=f"per-sample gradients of the layer {layer!r} to be defined",
                found=reason,
                todo="Change it, freeze the layer, or leave it out: layers=[...] names what to record.",
            )
        covered[layer], (how[layer], rules[layer]), of_layer[layer] = module, found, own
    frozen = _frozen(model, () if layers == "all" else tuple(groups))
    return Plan(parameters, groups, covered, rules, how, _time_major(model), frozen, of_layer)


def _frozen(model: nn.Module, within: tuple[str, ...]) -> dict[str, nn.Parameter]:
    """Return the parameters that are not trained: of the named modules, or of the whole model."""
    inside = [f"{name}." for name in within if name]
    return {
        name: p
        for name, p in model.named_parameters()
        if not p.requires_grad and (not inside or any(name.startswith(prefix) for prefix in inside))
    }


def _inside_attention(model: nn.Module) -> set[str]:
    """Return the layers that nn.MultiheadAttention holds but never calls: it uses their weights in a function."""
    return {
        f"{name}.out_proj".lstrip(".")
        for name, module in model.named_modules()
        if isinstance(module, nn.MultiheadAttention)
    }


def _time_major(model: nn.Module) -> frozenset[str]:
    """Return the layers and parameters that see [time, sample, feature].

    nn.MultiheadAttention works so inside; with batch_first=False so do its neighbours.
    """
    found: set[str] = set()
    modules = dict(model.named_modules())
    for name, module in modules.items():
        if not isinstance(module, nn.MultiheadAttention):
            continue
        found |= {f"{name}.{parameter}".lstrip(".") for parameter, _ in module.named_parameters()}
        if not module.batch_first:
            around = name.rpartition(".")[0]
            found |= {other for other in modules if around and other.startswith(around + ".")}
    return frozenset(found)
