"""What the report says of hardware and versions."""

import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import torch

from blindsr.runtime import parallel

_PACKAGES = (
    "numpy", "scipy", "opencv-python-headless", "opencv-python", "pillow", "scikit-image", "pydantic", "safetensors",
    "triton", "torchvision", "pytest", "hydra-core", "omegaconf", "scikit-learn", "lpips", "dvc", "mlflow",
)  # fmt: skip


def facts() -> dict[str, str]:
    """Name -> value, in words: accelerator, versions, processor, packages that are there and that are not."""
    versions = {name: _version(name) for name in _PACKAGES}
    return {
        "GPU": _gpu(),
        "driver": _driver(),
        "torch": f"{torch.__version__}, CUDA {torch.version.cuda or '-'}, cuDNN {_cudnn()}",
        "Python": f"{platform.python_version()} ({sys.executable})",
        "CPU": f"{_processor()}, {parallel.usable_cores()} cores usable",
        "packages": ", ".join(f"{name} {version}" for name, version in versions.items() if version),
        "absent": ", ".join(name for name, version in versions.items() if not version) or "none",
    }


def _gpu() -> str:
    if not torch.cuda.is_available():
        return "none"
    device = torch.cuda.get_device_properties(0)
    count = torch.cuda.device_count()
    more = f", the first of {count}" if count > 1 else ""
    return (
        f"{device.name}, {device.total_memory / 2**30:.1f} GiB, compute capability {device.major}.{device.minor}, "
        f"{device.multi_processor_count} multiprocessors{more}"
    )


def _driver() -> str:
    try:
        asked = subprocess.run(
            ["nvidia-smi", "--query-gpu=driver_version,clocks.max.sm,power.limit", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        return asked.stdout.strip().replace("\n", "; ")
    except (OSError, subprocess.SubprocessError):
        return "unknown (nvidia-smi does not answer)"


def _cudnn() -> str:
    version = torch.backends.cudnn.version() if torch.cuda.is_available() else None
    return str(version or "-")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
