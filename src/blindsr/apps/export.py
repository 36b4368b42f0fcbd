"""export: a trained run as a file for other tools, with a model card beside it."""

import io
import json
import logging
import math
import subprocess
import warnings
from importlib import resources
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jinja2
import safetensors.torch
import torch
from torch import Tensor

import blindsr
from blindsr.apps import models
from blindsr.config import params
from blindsr.config.params import Params
from blindsr.config.run import BICUBIC
from blindsr.evaluation import benchmarks
from blindsr.foreign import checkpoints
from blindsr.model import architecture, weight_files
from blindsr.model.weight_files import WeightsInfo
from blindsr.plugins.backbones import swinir
from blindsr.plugins.backbones.base import Backbone
from blindsr.runtime import escaping, files, paths
from blindsr.runtime.errors import UserError

Format = Literal["safetensors", "onnx", "torchscript"]
SUFFIXES: dict[str, str] = {"safetensors": ".safetensors", "onnx": ".onnx", "torchscript": ".pt"}
ARCHITECTURES = {"rrdb": "RRDBNet (ESRGAN)", "srresnet": "MSRResNet (SRResNet)", "swinir": "SwinIR", "msrn": "MSRN"}
"""What the field calls the backbones whose parameters have the names of public checkpoints."""
_TOLERANCE = 1e-4  # largest difference to torch that an export may have, in [0, 1]
_TRACED = (19, 21)  # LR px; sides that are no multiple of anything
_CHECKED = ((1, 17, 23), (2, 24, 9), (1, 8, 40))  # batch, height, width
_OPSET = 17
_APART = -100.0  # in SwinIR's public masks, where the attention of two tokens is suppressed


class Scores(NamedTuple):
    """Mean PSNR of the run and of bicubic in the cases of one benchmark."""

    benchmark: str
    own: dict[str, float]
    bicubic: dict[str, float]


def run(model: str, to: str, out: Path | None = None) -> None:
    """Write exports/<run>/<run>.<suffix> and README.md, the model card, beside it; or `out` and <its stem>.md.

    `model` is the name of a trained run, or a file of this project's weights, whose name stands for the run's.
    ONNX takes any batch, height and width. ONNX and TorchScript are compared with the network on odd sizes before
    anything is written. The metadata are one JSON object, under the key "blindsr" of safetensors and ONNX, and
    the extra file metadata.json of TorchScript.

    Raises UserError for an unknown run or format, for an `out` with the suffix of another one, without the packages
    that ONNX needs, and if the export differs.
    """
    if to not in SUFFIXES:
        raise UserError(f"unknown format {to}: choose from {', '.join(SUFFIXES)}")
    if out and out.suffix != SUFFIXES[to]:
        raise UserError(f"{out} would hold {to}: end its name in {SUFFIXES[to]}")
    weights = models.locate(model)
    if weights is None:
        raise UserError(f"{model} has no weights to export: name a trained run, such as srresnet-rff-0")
    if not weight_files.is_ours(weights):
        checkpoints.read(weights)  # which says what is wrong with the file, if anything is
        raise UserError(
            f"{weights} was not written by a training of this project, or was exported already: score and upscale "
            "take it as it is; export takes trained runs and their .safetensors"
        )
    name = weights.stem
    ours = weights == paths.MODELS / weights.name
    backbone, info = weight_files.load(weights, trust=ours)
    settings = params.find(as_made=True)
    scores = _scores(name) if ours else []  # ours are of our own weights
    metadata = describe(info, settings, scores)
    text = json.dumps(metadata, sort_keys=True)
    path = out or Path("exports") / name / f"{name}{SUFFIXES[to]}"
    write = {"safetensors": to_safetensors, "onnx": to_onnx, "torchscript": to_torchscript}[to]
    files.write_atomic(path, write(backbone, text))
    checkpoints.load(path, info.scale, trust=True)  # what other users of this project will do
    card = out.with_suffix(".md") if out else path.parent / "README.md"  # there may be a README beside `out`
    files.write_atomic(card, model_card(name, backbone, metadata, settings, scores, path))
    print(f"{path} ({path.stat().st_size / 2**20:.1f} MiB), {card}")


def to_safetensors(backbone: Backbone, metadata: str) -> bytes:
    """The weights under the public names of their architecture, float32.

    SwinIR's public files hold the masks of shifted windows, too, which other readers insist on.
    """
    state = {name: value.detach().cpu().contiguous() for name, value in backbone.state_dict().items()}
    for name in [name for name in state if name.endswith(".attn.relative_position_index")]:
        block = name.removesuffix(".attn.relative_position_index")
        if int(block.rsplit(".", 1)[1]) % 2:  # every second block is shifted
            window = math.isqrt(len(state[name]))
            apart = swinir.shift_mask(8 * window, 8 * window, window, torch.zeros(()))[:, 0].isinf()
            state[f"{block}.attn_mask"] = torch.where(apart, _APART, 0.0)
    return bytes(safetensors.torch.save(state, {weight_files.KEY: metadata}))


def to_onnx(backbone: Backbone, metadata: str) -> bytes:
    """Input lr (n, 3, h, w) in [0, 1], output sr; with free n, h and w. Checked by onnxruntime."""
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise UserError(f"ONNX needs the {error.name} package: pip install onnx onnxruntime") from None
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about sizes that a trace keeps: the check below looks for them
        # the tracing exporter: torch's other one needs a package more, and takes SwinIR's sizes for constants
        torch.onnx.export(
            backbone,
            (torch.rand(1, 3, *_TRACED),),
            file,  # type: ignore[arg-type]  # this exporter takes files, too
            dynamo=False,
            opset_version=_OPSET,
            input_names=["lr"],
            output_names=["sr"],
            dynamic_axes={"lr": {0: "n", 2: "h", 3: "w"}, "sr": {0: "n", 2: "sr_h", 3: "sr_w"}},
        )
    model = onnx.load_from_string(file.getvalue())
    onnx.helper.set_model_props(model, {weight_files.KEY: metadata})
    onnx.checker.check_model(model)
    content = bytes(model.SerializeToString())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    _check(backbone, lambda lr: torch.from_numpy(session.run(None, {"lr": lr.numpy()})[0]))
    return content


def to_torchscript(backbone: Backbone, metadata: str) -> bytes:
    """A traced module, for `torch.jit.load` without this project."""
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # as above, and that torch will give TorchScript up one day
        traced = torch.jit.trace(backbone, torch.rand(1, 3, *_TRACED), check_trace=False)
        _check(backbone, traced)
        file = io.BytesIO()
        torch.jit.save(traced, file, _extra_files={"metadata.json": metadata.encode()})
    return file.getvalue()


def _check(backbone: Backbone, exported: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    for batch, height, width in _CHECKED:
        lr = torch.rand(batch, 3, height, width, generator=generator)
        with torch.inference_mode():
            expected: Tensor = backbone(lr)
            found = exported(lr)
        fits = found.shape == expected.shape
        difference = float((found - expected).abs().max()) if fits else float("inf")
        if not difference <= _TOLERANCE:
            raise UserError(
                f"the export differs from the network by {difference:g} on an LR image of {width}×{height} pixels: "
                "nothing was written; another format may do"
            )


def describe(info: WeightsInfo, settings: Params | None, scores: list[Scores]) -> dict[str, Any]:
    """Everything that a file can say of its network; `weight_files.load` reads it, too."""
    return {
        **info.model_dump(),
        "architecture": ARCHITECTURES.get(info.backbone, info.backbone),
        "profile": settings.profile if settings and _is_of(info, settings) else None,
        "git_revision": _revision(),
        "software": f"blindsr {blindsr.__version__}",
        "psnr_db": {score.benchmark: {k: round(v, 4) for k, v in score.own.items()} for score in scores},
    }


def _is_of(info: WeightsInfo, settings: Params) -> bool:
    """Whether the run was trained with what params.yaml says now, as far as its file tells."""
    return (
        settings.backbone.hyper.get(info.backbone) == info.hyper
        and settings.train.iterations == info.iterations
        and settings.scale == info.scale
        and info.regularizer in settings.reg.settings
    )


def _revision() -> str | None:
    """The commit that is checked out, with + where tracked files differ from it."""
    git = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _scores(name: str) -> list[Scores]:
    path = paths.SCORES / f"{name}.csv"
    if not path.exists():
        logging.getLogger(__name__).warning("%s is missing: the export has no scores; run `dvc repro` first", path)
        return []
    bicubic = paths.SCORES / f"{BICUBIC}.csv"
    own, other = (_by_benchmark(file) if file.exists() else {} for file in (path, bicubic))
    return [Scores(name, cases, other.get(name, {})) for name, cases in own.items()]


def _by_benchmark(path: Path) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for name, value in benchmarks.means(benchmarks.read_csv(path)).items():
        metric, *place = name.split("/")
        if metric == "psnr_db" and place:  # else: the mean of all
            benchmark, case = place
            found.setdefault(benchmark, {})[case] = value
    return found


def model_card(
    name: str, backbone: Backbone, metadata: dict[str, Any], settings: Params | None, scores: list[Scores], path: Path
) -> str:
    """Markdown that says what the network is, how it was trained, how well it does, and how to use it."""
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters["markdown"] = escaping.markdown
    template = environment.from_string((resources.files("blindsr.apps") / "model_card.md.j2").read_text("utf-8"))
    trained = settings if metadata["profile"] else None
    return template.render(
        name=name,
        info=metadata,
        parameters=architecture.count_parameters(backbone),
        train=trained.train if trained else None,
        weight=trained.reg.settings[metadata["regularizer"]].weight if trained else None,
        data=trained.data.train if trained else None,
        scores=scores,
        file=path.name,
        suffix=path.suffix,
    )
