"""What AWD-LSTM drops and punishes: weights, word vectors, units, activations. Chapter 06.

All of it is from Merity, Keskar and Socher, *Regularizing and Optimizing LSTM Language Models* (ICLR 2018), which
collects and names the parts. Dropped entries become 0 and the others grow by 1/(1 - p), so that the mean stays.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from lmtutor.models.base import map_state


def call_with_weight_drop(
    module: nn.Module,
    inputs: tuple[Any, ...],
    p: float,
    names: Sequence[str] = ("weight_hh_l0",),
    dtype: torch.dtype | None = None,
) -> Any:
    """Call a module with a share `p` of the entries of some weights set to 0: DropConnect (Wan et al. 2013).

    One mask serves all steps of the batch, so that in a recurrent layer the same connections from one step to the
    next are cut throughout. The module's own parameters are never replaced: the dropped weight exists for this call
    only, its gradient flows to the parameter, and evaluation mode uses the parameter as it is.

    Parameters
    ----------
    module : its mode decides; in evaluation mode nothing is dropped.
    inputs : what to call it with.
    p : probability of an entry to be dropped, from 0 up to (not including) 1.
    names : which of its parameters.
    dtype : the type in which the module computes in training mode; default: that of its first input. Parameters,
        gradients and results keep that of the input.

    Returns
    -------
    what ``module(*inputs)`` returns.
    """
    kept = inputs[0].dtype
    dtype = dtype or kept
    if not module.training or (p == 0 and dtype == kept):
        return module(*inputs)
    weights = dict(module.named_parameters())
    weights |= {name: F.dropout(weights[name], p) for name in names}
    weights = {name: weight.to(dtype) for name, weight in weights.items()}
    results = functional_call(module, weights, map_state(lambda x: x.to(dtype), inputs))
    return map_state(lambda x: x.to(kept), results)


def embed_with_dropout(embedding: nn.Embedding, ids: Tensor, p: float) -> Tensor:
    """Look up word vectors with a share `p` of all *types* dropped (Gal and Ghahramani 2016).

    A dropped type is zero wherever it occurs in the batch. Only the lookup is touched: a head tied to the same
    weight reads it whole.

    Parameters
    ----------
    embedding : its mode decides; in evaluation mode nothing is dropped. Weight (V, E).
    ids : (T, B), of the types to look up.
    p : probability of a type to be dropped.

    Returns
    -------
    (T, B, E)
    """
    vectors = embedding(ids)
    if not embedding.training or p == 0:
        return vectors
    # A mask a type, then looked up: V numbers instead of a masked copy of the V × E matrix.
    keep = vectors.new_empty(embedding.num_embeddings).bernoulli_(1 - p).div_(1 - p)
    return vectors * keep[ids].unsqueeze(-1)


def locked_dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Drop a share `p` of the units, the same ones at every step of the sequence (Gal and Ghahramani 2016).

    Parameters
    ----------
    x : (T, B, H); each of the B columns has a mask of its own.
    p : probability of a unit to be dropped.
    training : False drops nothing.

    Returns
    -------
    (T, B, H)
    """
    if not training or p == 0:
        return x
    return x * x.new_empty(1, *x.shape[1:]).bernoulli_(1 - p).div_(1 - p)


def activation_penalty(dropped: Tensor, alpha: float) -> Tensor | float:
    r"""AR: :math:`\alpha` times the mean square of the outputs, after dropout; keeps activations small.

    The paper writes :math:`\alpha L_2(m \odot h_t)`; the mean square is what its authors' code computes.
    `dropped` is (T, B, H); the result a 0-dim tensor, or 0.0 when `alpha` is 0.
    """
    return alpha * dropped.square().mean() if alpha else 0.0


def slowness_penalty(raw: Tensor, beta: float) -> Tensor | float:
    r"""TAR: :math:`\beta` times the mean square of :math:`h_{t+1} - h_t`, *before* dropout; keeps changes small.

    `raw` is (T, B, H); the result a 0-dim tensor, or 0.0 when `beta` is 0 or there is one step only.
    """
    return beta * raw.diff(dim=0).square().mean() if beta and len(raw) > 1 else 0.0
