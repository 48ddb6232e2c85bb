"""Parts of a model that belong together: its blocks, found from its structure, or modules named by the user."""

from collections.abc import Iterator, Sequence

from torch import nn

from gwa_attrib.errors import InputError
from gwa_attrib.store.schema import WHOLE

Groups = dict[str, tuple[str, ...]]


def trainable(model: nn.Module, prefix: str = "") -> list[str]:
    """List the trainable parameters of a module, as the whole model calls them."""
    return [name for name, p in model.named_parameters(prefix=prefix, remove_duplicate=False) if p.requires_grad]


def blocks_of(model: nn.Module) -> Groups:
    """Group the model's trainable parameters by block; one that several blocks share belongs to the first.

    A block is a member of a stack (`nn.Sequential`, `nn.ModuleList`), or a child of the model beside the stacks.
    """
    first = {name for name, p in model.named_parameters() if p.requires_grad}
    groups: Groups = {}
    for prefix, module, whole in _walk(model, "", top=True):
        names = trainable(module, prefix) if whole else _own(module, prefix)
        names = [name for name in names if name in first]
        first -= set(names)
        if whole and names:
            groups[prefix] = tuple(names)
        elif names:
            groups.update({name: (name,) for name in names})
    return _checked(groups)


def _own(module: nn.Module, prefix: str) -> list[str]:
    return [f"{prefix}.{n}".lstrip(".") for n, p in module._parameters.items() if p is not None and p.requires_grad]


def _walk(module: nn.Module, prefix: str, top: bool = False) -> Iterator[tuple[str, nn.Module, bool]]:
    """Yield name, module, and whether it is a block; else only the parameters that it holds itself are meant."""
    if not (top or isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict) or _holds_stack(module)):
        yield prefix, module, True
        return
    if not any(True for _ in module.children()) and prefix:
        yield prefix, module, True
        return
    yield prefix, module, False
    for name, child in module.named_children():
        yield from _walk(child, f"{prefix}.{name}".lstrip("."))


def _holds_stack(module: nn.Module) -> bool:
    """Tell whether there is a list of blocks of one class somewhere inside."""
    return any(_is_stack(inner) for inner in module.modules())


def _is_stack(module: nn.Module) -> bool:
    children = list(module.children())
    return (
        (isinstance(module, nn.ModuleList) or (isinstance(module, nn.Sequential) and len(children) > 1))
        and len(children) > 0
        and len({type(child) for child in children}) == 1
        and all(any(True for _ in child.children()) for child in children)
    )


def named_groups(model: nn.Module, names: Sequence[str]) -> Groups:
    """Make one group for each named module or parameter.

    Raises:
        InputError: a name that is not there, has nothing to train, or overlaps with another.
    """
    modules, parameters = dict(model.named_modules()), dict(model.named_parameters(remove_duplicate=False))
    first = {id(p): name for name, p in reversed(list(parameters.items()))}
    groups: Groups = {}
    for name in [names] if isinstance(names, str) else names:
        if name in modules:
            members = trainable(modules[name], name)
        elif name in parameters:
            members = [name] if parameters[name].requires_grad else []
        else:
            known = [n for n in modules if n]
            raise InputError(
                expected="layers to be 'head', 'all', or names of modules or parameters of the model",
                found=repr(name),
                todo=f"Modules of this model: {', '.join(known[:30])}{', ...' if len(known) > 30 else ''}.",
            )
        if not members:
            raise InputError(
                expected=f"{name!r} to have something to train",
                found="no parameter with requires_grad",
                todo="Unfreeze it, or leave it out of layers=[...].",
            )
        if name in groups:
            raise InputError(
                expected="layers that are apart from each other",
                found=f"{name!r} twice",
                todo="Name each part of the model once.",
            )
        groups[name] = tuple(dict.fromkeys(first[id(parameters[member])] for member in members))
    everything = [member for members in groups.values() for member in members]
    if len(set(everything)) != len(everything) or not groups:
        raise InputError(
            expected="layers that are apart from each other",
            found="a parameter in two of them" if groups else "no layer at all",
            todo="Name each part of the model once, or use layers='all'.",
        )
    return _checked(groups)


def _checked(groups: Groups) -> Groups:
    if WHOLE in groups:
        raise InputError(
            expected=f"no part of the model to be called {WHOLE!r}, the name of the whole",
            found=f"a module {WHOLE!r}",
            todo="Rename it, or name parts of it: layers=[...].",
        )
    return groups
