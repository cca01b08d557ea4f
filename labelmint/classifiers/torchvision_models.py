"""Any classification model of torchvision, on images of any size and number of channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from labelmint.classifiers import pretrained
from labelmint.classifiers.settings import TORCHVISION, Classifier
from labelmint.gans.layers import Dropout
from labelmint.random_streams import Stream
from labelmint.runtime.errors import InputError

_AUXILIARY = ("googlenet", "inception_v3")
"""Models that return several outputs by default."""
_FIRST_POOLINGS = ("maxpool", "maxpool1", "features.pool0")


class TorchvisionModel(nn.Module):
    """Images, float (N, C, S, S) in [-1, 1] -> logits (N, classes). Dropout acts only with a `stream`."""

    def __init__(self, params: Classifier, shape: tuple[int, int, int], classes: int, raw: Path | None):
        from torchvision import models

        super().__init__()
        name = params.network.removeprefix(TORCHVISION)
        self.pretrained = params.weights != "none"
        options: dict[str, Any] = {"num_classes": classes}
        if name in _AUXILIARY:
            options |= {"aux_logits": False, "init_weights": True}
        if name.startswith("vit_"):
            options["image_size"] = shape[1]
        try:
            self.model = models.get_model(name, weights=None, **options)
            _adapt_stem(self.model, 3 if self.pretrained else shape[0], params.stem_stride)
        except (ValueError, RuntimeError) as error:
            raise _unfit(params.network, shape, error) from error
        if self.pretrained and raw is not None:
            _load(self.model, pretrained.weights(params.network, params.weights, raw), params)
        self.normalize = pretrained.ImageNetColours() if self.pretrained else nn.Identity()
        self.dropouts = _own_dropouts(self.model)
        try:
            with torch.no_grad():
                self.model.eval()(self.normalize(torch.zeros(2, *shape)))
        except (ValueError, RuntimeError) as error:
            raise _unfit(params.network, shape, error) from error
        self.model.train()

    def forward(self, images: torch.Tensor, stream: Stream | None = None) -> torch.Tensor:
        for dropout in self.dropouts:
            dropout.stream = stream
        logits: torch.Tensor = self.model(self.normalize(images))
        for dropout in self.dropouts:
            dropout.stream = None
        return logits


class _Dropout(nn.Module):
    """Dropout within a model that does not pass a stream on: it is set for each call."""

    def __init__(self, probability: float):
        super().__init__()
        self.dropout, self.stream = Dropout(probability), None

    stream: Stream | None

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        dropped: torch.Tensor = self.dropout(values, self.stream)
        return dropped


def _own_dropouts(model: nn.Module) -> list[_Dropout]:
    """Replace the dropout layers of `model`, which draw from the global generator, and return the new ones.

    Stochastic depth does too, and suits far longer training: it is switched off.
    """
    from torchvision.ops import StochasticDepth

    found = []
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Dropout):
                own = _Dropout(child.p)
                setattr(module, name, own)
                found.append(own)
            elif isinstance(child, StochasticDepth):
                child.p = 0.0
    return found


def _adapt_stem(model: nn.Module, channels: int, stride: int) -> None:
    """Let the first convolution take `channels`; with a stride of 1, keep the size of small images."""
    from torchvision.models import VisionTransformer

    name, first = next(
        (name, module) for name, module in model.named_modules() if isinstance(module, nn.Conv2d)
    )
    # A transformer's first convolution cuts the image into patches.
    own_stride: Any = (1, 1) if stride == 1 and not isinstance(model, VisionTransformer) else first.stride
    if (channels, own_stride) != (first.in_channels, first.stride):
        kernel: Any = first.kernel_size
        padding: Any = first.padding
        own = nn.Conv2d(
            channels, first.out_channels, kernel, own_stride, padding, bias=first.bias is not None
        )
        model.get_submodule(name.rpartition(".")[0]).register_module(name.rpartition(".")[2], own)
    if stride == 1:
        for pooling in _FIRST_POOLINGS:
            parent, _, last = pooling.rpartition(".")
            if isinstance(dict(model.named_modules()).get(pooling), nn.MaxPool2d):
                model.get_submodule(parent).register_module(last, nn.Identity())


def _load(model: nn.Module, weights: dict[str, torch.Tensor], params: Classifier) -> None:
    """Load pretrained weights but for the layer of the classes. Raises: InputError if they do not fit."""
    own = model.state_dict()
    head = [name for name, module in model.named_modules() if isinstance(module, (nn.Linear, nn.Conv2d))][-1]
    kept = {
        name: value
        for name, value in weights.items()
        if not name.startswith(f"{head}.") and not name.startswith(("aux1.", "aux2.", "AuxLogits."))
    }
    missing = [name for name in own if name not in kept and not name.startswith(f"{head}.")]
    wrong = [name for name, value in kept.items() if name not in own or own[name].shape != value.shape]
    if missing or wrong:
        reason = f"{(wrong or missing)[0]} is {'of another shape or unknown' if wrong else 'missing'}"
        raise InputError(f"classifier.weights: {params.weights} does not fit {params.network} ({reason})")
    model.load_state_dict({**own, **kept})


def _unfit(network: str, shape: tuple[int, int, int], error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:160]
    return InputError(
        f"classifier.network: {network} cannot take images of {shape[1]} x {shape[2]} pixels ({reason}); "
        "raise dataset.image_size, or choose another network"
    )
