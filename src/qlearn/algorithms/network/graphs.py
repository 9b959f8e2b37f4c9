"""CUDA graphs: what runs again and again over the same memory is launched as one."""

from __future__ import annotations

from collections.abc import Callable

from qlearn.nets.module import torch

WARM = 3  # calls before the capture: libraries choose their algorithms, memory finds its places


class Replayed:
    """A function of nothing, over tensors that stay where they are; elsewhere than on a GPU just it.

    On a GPU its first calls run on a stream of their own, as a capture wants it, the next is
    captured, and from then on the graph is replayed: one launch instead of one an operation. So
    the function may read no number that changes but out of tensors, wait for none, and must do the
    same operations at every call. What it draws, it draws from `generator`.
    """

    def __init__(
        self,
        function: Callable[[], None],
        device: str,
        generator: torch.Generator | None = None,
    ) -> None:
        self.function, self.generator = function, generator
        self.on_gpu = torch.device(device).type == "cuda"
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None

    def forget(self) -> None:
        """Captures anew: the function reads other numbers, or other tensors, from now on."""
        self.calls, self.graph = 0, None

    def __call__(self) -> None:
        if not self.on_gpu:
            self.function()
        elif self.calls < WARM:
            self.calls += 1
            self._beside()
        else:
            if self.graph is None:
                self.graph = self._captured()
            self.graph.replay()

    def _beside(self) -> None:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self.function()
        torch.cuda.current_stream().wait_stream(stream)

    def _captured(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        if self.generator is not None:
            graph.register_generator_state(self.generator)
        with torch.cuda.graph(graph):
            self.function()
        return graph
