"""In a worker: SRResNet as in the paper with one regularizer, scored at several lengths of its training."""

import time
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from benchmarks.gpu_check import settings
from benchmarks.gpu_check.protocol import emit
from benchmarks.gpu_check.work_score import Suite
from blindsr.data.patch_store import PatchStore
from blindsr.model import architecture
from blindsr.model.network import Network, build_regularizer
from blindsr.model.weight_files import KEY, WeightsInfo
from blindsr.runtime import devices, files
from blindsr.training import trainer
from blindsr.training.distributed import World
from blindsr.training.ema import Ema
from blindsr.training.losses import build_losses
from blindsr.training.samples import Batches
from blindsr.training.validation import Validation

BACKBONE, SEED = "srresnet", 0


def run(
    reg: str, store: str, images: dict[str, str], folder: str, small: bool, iterations: int, log_every: int,
    scored: list[int], workers: int,
) -> None:  # fmt: skip
    """Train through the product's own trainer; emit points of the curve, and scores after `scored` iterations."""
    device = devices.choose("auto")
    devices.keep_freed_memory()
    devices.make_repeatable(device)
    params = settings.params(small)
    precision = "bf16" if device.type == "cuda" else "fp32"
    train = settings.training(small, precision, iterations=iterations, log_every=log_every)
    train = train.model_copy(update={"validation": train.validation.model_copy(update={"every": 0})})
    hyper, regularizer = params.backbone.hyper[BACKBONE], params.reg.settings[reg]
    backbone = trainer.initialize(lambda: architecture.build_backbone(BACKBONE, hyper, params.scale), SEED)
    network = Network(backbone, build_regularizer(reg, regularizer.hyper_for(BACKBONE)))
    info = WeightsInfo(
        backbone=BACKBONE, hyper=hyper, scale=params.scale, regularizer=reg, seed=SEED, iterations=0, run="gpu_check"
    )
    suite = Suite({name: Path(place) for name, place in images.items()}, small)
    validate = _Scores(suite, architecture.build_backbone(BACKBONE, hyper, params.scale), info, scored, Path(folder))
    batches = Batches(
        PatchStore(Path(store)),
        train,
        settings.degradation(small),
        seed=SEED,
        views=network.views,
        scale=params.scale,
    )
    emit(ready=True)
    began = time.perf_counter()
    trainer.train(
        network,
        batches,
        train,
        losses=build_losses(train),
        weight=regularizer.weight,
        seed=SEED,
        states=Path(folder) / f"state-{reg}",
        world=World(device),
        workers=workers,
        checkpoint_every=iterations,
        log=lambda iteration, point: emit(reg=reg, point=point | {"seconds": time.perf_counter() - began}),
        label=reg,
        validate=validate,
    )
    emit(reg=reg, done=True, seconds=time.perf_counter() - began, scoring=validate.seconds)


class _Scores(Validation):
    """Takes the place of validation: the averaged weights are scored, and kept, after some numbers of iterations."""

    def __init__(self, suite: Suite, backbone: nn.Module, info: WeightsInfo, scored: list[int], folder: Path) -> None:
        self.seconds = 0.0
        self._suite, self._backbone, self._info, self._scored, self._folder = suite, backbone, info, scored, folder

    def __call__(self, iteration: int, ema: Ema) -> dict[str, float]:
        if iteration not in self._scored:
            return {}
        began = time.perf_counter()
        device = next(iter(ema.state_dict().values())).device
        ema.copy_to(self._backbone.to(device))
        rows = [row | {"iteration": iteration} for row in self._suite.score(self._backbone)]
        self._keep(iteration)
        self.seconds += time.perf_counter() - began
        emit(reg=self._info.regularizer, scores=rows)
        return {}

    def _keep(self, iteration: int) -> None:
        info: dict[str, Any] = self._info.model_copy(update={"iterations": iteration}).model_dump()
        state = {
            key: value.detach().to("cpu", torch.float16 if value.is_floating_point() else value.dtype).contiguous()
            for key, value in self._backbone.state_dict().items()
        }
        content = safetensors.torch.save(state, {KEY: _json(info)})
        files.write_atomic(self._folder / f"{BACKBONE}-{info['regularizer']}-{SEED}.safetensors", content)


def _json(info: dict[str, Any]) -> str:
    return WeightsInfo.model_validate(info).model_dump_json()
