"""A network in an ONNX file, run by onnxruntime on the CPU."""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from blindsr.runtime.errors import UserError, one_line


class OnnxNetwork(nn.Module):
    """An ONNX file with one float input (N, 3, H, W) of any size, and one output."""

    def __init__(self, path: Path) -> None:
        """Raises UserError for a damaged file, other inputs or outputs, or without the onnxruntime package."""
        super().__init__()
        try:
            import onnxruntime
        except ImportError:
            raise UserError(f"{path} needs the onnxruntime package: pip install onnxruntime") from None
        _require_harmless(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4  # its errors are raised, too
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own classes, which have no common base
            raise UserError(f"{path} is damaged or no ONNX file ({one_line(error)}): export it again") from None
        self._path = path
        inputs = self._session.get_inputs()
        fits = len(inputs) == 1 and inputs[0].type == "tensor(float)" and _takes_images(inputs[0].shape)
        if not fits or len(self._session.get_outputs()) != 1:
            found = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs) or "none"
            raise UserError(
                f"{path} has the inputs {found} and {len(self._session.get_outputs())} outputs: expected one float "
                "input (N, 3, H, W) with free N, H and W, and one output; export it with dynamic axes"
            )
        self._name = inputs[0].name

    def forward(self, lr: Tensor) -> Tensor:
        """Run the network.

        Args:
            lr: LR images (N, 3, H, W), float32 on the CPU; N is 1 where the file says so.

        Returns:
            The file's output, on the CPU.

        Raises:
            UserError: if it fails.
        """
        try:
            return torch.from_numpy(self._session.run(None, {self._name: lr.numpy()})[0])
        except Exception as error:  # as above
            size = f"{lr.shape[3]}×{lr.shape[2]}"
            raise UserError(f"{self._path} fails on an LR image of {size} pixels ({one_line(error)})") from None


def _require_harmless(path: Path) -> None:
    """Refuse a file that reads other files, or may run without end, by the bytes of its fields.

    An ONNX file is a protocol buffer: a field is a tag, a length and its bytes, and a length may be written with more
    bytes than it needs.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    if re.search(rb"\x0a" + _length(len("location")) + b"location", content):
        raise UserError(f"{path} has its weights in other files: save it as one file, without external data")
    loop = re.search(rb"\x22" + _length(len("Loop")) + b"Loop", content)
    if loop:
        raise UserError(f"{path} is refused: it has a Loop, which may run without end; export it without")


def _length(size: int) -> bytes:
    """A regular expression for a length below 128: one byte, or more that say the same."""
    return b"(?:" + re.escape(bytes([size])) + b"|" + re.escape(bytes([size | 0x80])) + b"\x80{0,3}\x00)"


def _takes_images(shape: list[Any]) -> bool:
    """Free sizes are names or None; a batch of 1 is all that is ever given on a CPU."""
    free = [not isinstance(size, int) for size in shape]
    return len(shape) == 4 and (free[0] or shape[0] == 1) and (free[1] or shape[1] == 3) and free[2] and free[3]
