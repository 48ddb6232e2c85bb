"""The gradients of what all samples share in one backward pass, listened to where it meets the samples."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from gwa_attrib.errors import LayerError
from gwa_attrib.functional.targets import full_precision
from gwa_attrib.gradients.autograd.graph import Parents, meetings, numbered, parameter_nodes
from gwa_attrib.gradients.autograd.taps import Owner, Piece, Spread, gradient_of_pieces, listen
from gwa_attrib.gradients.autograd.views import Node
from gwa_attrib.gradients.layout import Known, Layout, no_layout
from gwa_attrib.gradients.plan import Plan
from gwa_attrib.gradients.rules.rule import Operands
from gwa_attrib.gradients.use import LayerUse, second_gradient


class SharedTensors:
    """Parameters that no layer with a rule used, and outputs of layers that are the same for every sample."""

    def __init__(self, plan: Plan, known: Known, samples: int) -> None:
        self._plan, self._known, self._samples = plan, known, samples
        self.pieces: dict[str, list[Piece]] = {}
        """The pieces of the gradient of each such parameter."""
        self.outputs: list[tuple[LayerUse, list[Piece]]] = []
        self.handles: list[RemovableHandle] = []

    def listen(
        self,
        parents: Parents,
        parameters: Iterable[str],
        outputs: Iterable[LayerUse],
        covered: Callable[[str], bool],
        over: Callable[[], bool],
    ) -> None:
        """Find the tensors in the graph, and listen to them until the backward pass is `over`.

        `covered` tells whether a parameter was measured in a layer after all.

        Raises:
            LayerError: one meets the samples in an operation that is not understood.
        """
        self._over = over
        nodes = parameter_nodes(parents)
        for name in parameters:
            parameter, pieces = self._plan.parameters[name], self.pieces.setdefault(name, [])
            node = nodes.get(id(parameter))
            if node is None or self._samples == 1:
                arrived = self._arrival(name, pieces, covered)
                self.handles.append(parameter.register_hook(arrived))  # type: ignore[no-untyped-call]
                continue
            self._meet(parents, node, name, parameter.shape, pieces)
        for use in outputs:
            node = numbered(parents, use.node_number)
            if node is None:
                raise no_layout(use.name, use.input_shape, self._samples)
            of_output: list[Piece] = []
            self.outputs.append((use, of_output))
            self._meet(parents, node, f"output of {use.key}", use.output_shape, of_output)

    def _meet(self, parents: Parents, node: Node, name: str, shape: torch.Size, pieces: list[Piece]) -> None:
        owner = Owner(name, self._samples, self._known, name in self._plan.time_major)
        met = list(meetings(parents, node, shape, self._samples, self._known.meetings.get(name)))
        self._known.meetings.setdefault(name, frozenset(meeting.node.name() for meeting in met))

        def take(piece: Piece) -> None:
            if self._over():
                raise second_gradient(name)
            pieces.append(piece)

        self.handles += [listen(meeting, owner, take) for meeting in met]

    def _arrival(self, name: str, pieces: list[Piece], covered: Callable[[str], bool]) -> Callable[[Tensor], None]:
        """Make the hook of a parameter outside of the graph, to which no gradient may come but in a batch of one."""

        def arrived(grad: Tensor) -> None:
            if covered(name) or self._over():
                return  # its layer ran in the backward pass, under reentrant checkpointing
            if self._samples != 1:
                raise LayerError(
                    expected=f"to find {name!r} in the autograd graph",
                    found="a gradient that came to it from inside torch.compile, reentrant checkpointing or a function "
                    "of its own",
                    todo="Take what uses it out of the checkpoint or of what is compiled, or leave the parameter out: "
                    "layers=[...] names what to record.",
                )
            index = torch.arange(grad.numel()).view(grad.shape)
            pieces.append(Spread(full_precision(grad.detach()).unsqueeze(0), index))

        return arrived

    def operands(self, use: LayerUse, pieces: list[Piece]) -> Operands:
        """Return the operands of a layer whose output all samples share, as if each sample had called it."""
        like = torch.empty(use.output_shape, device="meta")
        delta = gradient_of_pieces(like, pieces, slice(0, self._samples))
        return use.operands(self._samples, Layout.SHARED, delta)

    def close(self) -> None:
        for handle in self.handles:
            handle.remove()
