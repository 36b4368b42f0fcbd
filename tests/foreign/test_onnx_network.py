"""ONNX files: run as the network that they came from, other inputs refused."""

import sys

import numpy as np
import pytest
import torch

from blindsr.foreign import checkpoints
from blindsr.foreign.onnx_network import OnnxNetwork
from blindsr.runtime.errors import UserError

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper  # noqa: E402

LR = torch.rand(2, 3, 9, 7, generator=torch.Generator().manual_seed(0))
WEIGHT = np.random.default_rng(0).normal(size=(48, 3, 3, 3)).astype(np.float32)


def model(path, shape=("n", 3, "h", "w"), kind=TensorProto.FLOAT, more_inputs=(), block=4, outputs=1):
    """A 3x3 convolution and a pixel shuffle."""
    weight = helper.make_tensor("weight", TensorProto.FLOAT, WEIGHT.shape, WEIGHT.tobytes(), raw=True)
    nodes = [
        helper.make_node("Cast", ["lr"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["float", "weight"], ["planes"], pads=[1, 1, 1, 1]),
        helper.make_node("DepthToSpace", ["planes"], ["sr"], blocksize=block, mode="CRD"),
    ]
    inputs = [helper.make_tensor_value_info("lr", kind, shape)]
    inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64]) for name in more_inputs]
    found = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("sr", "planes")[:outputs]]
    graph = helper.make_graph(nodes, "net", inputs, found, [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def refusal(path, scale=4):
    with pytest.raises(UserError) as caught:
        checkpoints.load(path, scale)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_it_computes_what_torch_does(tmp_path):
    network = checkpoints.load(model(tmp_path / "net.onnx"), 4)
    expected = torch.nn.functional.conv2d(LR, torch.from_numpy(WEIGHT), padding=1)
    torch.testing.assert_close(network(LR), torch.nn.functional.pixel_shuffle(expected, 4), rtol=0, atol=1e-5)


def test_another_scale_is_one_line(tmp_path):
    assert "upscales by 4, not by 2" in refusal(model(tmp_path / "net.onnx"), scale=2)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"more_inputs": ("noise",)}, r"lr tensor(float) ['n', 3, 'h', 'w'], noise tensor(float) [1, 64]"),
        ({"kind": TensorProto.FLOAT16}, "tensor(float16)"),
        ({"shape": (1, 3, 64, 64)}, "[1, 3, 64, 64]"),
        ({"shape": ("n", 1, "h", "w")}, "['n', 1, 'h', 'w']"),
        ({"shape": (8, 3, "h", "w")}, "[8, 3, 'h', 'w']"),
        ({"outputs": 2}, "and 2 outputs"),
    ],
)
def test_other_inputs_or_outputs_are_one_line(tmp_path, settings, says):
    line = refusal(model(tmp_path / "net.onnx", **settings))
    assert says in line
    assert "expected one float input (N, 3, H, W)" in line


def test_a_damaged_file_is_one_line(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"not a model")
    assert "damaged or no ONNX file" in refusal(tmp_path / "net.onnx")


def test_without_onnxruntime_the_mend_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "pip install onnxruntime" in refusal(model(tmp_path / "net.onnx"))


def test_an_image_that_the_graph_cannot_take_is_named(tmp_path):
    network = checkpoints.load(model(tmp_path / "net.onnx"), 4)
    with pytest.raises(UserError, match=r"net\.onnx fails on an LR image of 7×9 pixels"):
        network(torch.cat([LR, LR], 1))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x0a\x08location\x12\x0b../../a.bin", "has its weights in other files"),
        (b"\x0a\x88\x00location\x12\x0b/etc/passwd", "has its weights in other files"),  # a length in two bytes
        (b"\x22\x04Loop", "may run without end"),
        (b"\x22\x84\x80\x00Loop", "may run without end"),
    ],
)
def test_what_reads_other_files_or_never_ends_is_refused_before_it_is_loaded(tmp_path, content, says):
    (tmp_path / "net.onnx").write_bytes(b"\x08\x08" + content)
    with pytest.raises(UserError, match=says):
        OnnxNetwork(tmp_path / "net.onnx")
