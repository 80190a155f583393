"""An LSTM as an ONNX file: for programs that read neither Python nor our checkpoints. Needs the extra ``onnx``."""

from pathlib import Path

import numpy as np
from torch import Tensor, nn

from lmtutor.models.heads import SampledHead, SoftmaxHead
from lmtutor.system.errors import LMTutorError
from lmtutor.system.files import write_atomically
from lmtutor.text.vocabulary import Vocabulary

OPSET, FORMAT = 17, 9  # of ONNX: old enough for every reader of the last years


def export_onnx(model: nn.Module, vocab: Vocabulary, out: str | Path) -> None:
    """Write a stack of LSTM layers, plain or AWD, as one graph, and its vocabulary beside it, as ``OUT.json``.

    The graph reads ``ids`` (T, B) int64 and, of each layer l, ``h_l`` and ``c_l`` (1, B, H_l); zeros begin a text. It
    returns ``log_probs`` (T, B, V), nats, and the states after the last step, ``next_h_l`` and ``next_c_l``.

    Raises
    ------
    LMTutorError : the package `onnx` is missing, or the model is no stack of LSTMs with a full softmax.
    """
    try:
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        raise LMTutorError("Exporting needs the package onnx: pip install 'lmtutor[onnx]'.") from None
    layers, full = list(getattr(model, "layers", ())), isinstance(model.head, SoftmaxHead | SampledHead)
    if not layers or not full or not all(type(layer) is nn.LSTM for layer in layers):
        raise LMTutorError(f"{type(model).__name__} cannot be exported: it must be LSTM layers under a full softmax.")
    weights, nodes, inputs, outputs = {"embedding": model.embedding.weight}, [], [("ids", ["T", "B"])], []
    nodes.append(helper.make_node("Gather", ["embedding", "ids"], ["x0"]))
    for n, layer in enumerate(layers):
        weights |= {f"w{n}": gates(layer.weight_ih_l0)[None], f"r{n}": gates(layer.weight_hh_l0)[None]}
        weights[f"b{n}"] = np.concatenate([gates(layer.bias_ih_l0), gates(layer.bias_hh_l0)])[None]
        read = [f"x{n}", f"w{n}", f"r{n}", f"b{n}", "", f"h_{n}", f"c_{n}"]
        written = [f"y{n}", f"next_h_{n}", f"next_c_{n}"]
        nodes.append(helper.make_node("LSTM", read, written, hidden_size=layer.hidden_size))
        nodes.append(helper.make_node("Squeeze", [f"y{n}", "one"], [f"x{n + 1}"]))  # its axis of directions
        state = [1, "B", layer.hidden_size]
        inputs += [(f"h_{n}", state), (f"c_{n}", state)]
        outputs += [(f"next_h_{n}", state), (f"next_c_{n}", state)]
    weights |= {"head": model.head.weight.t(), "bias": model.head.bias, "one": np.array([1])}
    nodes.append(helper.make_node("MatMul", [f"x{len(layers)}", "head"], ["products"]))
    nodes.append(helper.make_node("Add", ["products", "bias"], ["logits"]))
    nodes.append(helper.make_node("LogSoftmax", ["logits"], ["log_probs"], axis=-1))
    outputs.insert(0, ("log_probs", ["T", "B", model.vocab_size]))

    def described(values):
        kinds = {"ids": TensorProto.INT64}
        return [helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), dims) for name, dims in values]

    numbers = [numpy_helper.from_array(plain(value), name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "language model", described(inputs), described(outputs), numbers)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=FORMAT)
    write_atomically(out, made.SerializeToString())
    vocab.save(f"{out}.json")


def plain(value: Tensor | np.ndarray) -> np.ndarray:
    """A tensor as an array."""
    return value.detach().cpu().contiguous().numpy() if isinstance(value, Tensor) else value


def gates(value: Tensor) -> np.ndarray:
    """The rows of an LSTM's weight in the order of ONNX: input, output, forget, candidate; torch has i, f, g, o."""
    i, f, g, o = np.split(plain(value), 4)
    return np.concatenate([i, o, f, g])
