"""Write the locks: every package of requirements.txt and requirements-dev.txt, pinned, with the hashes of its files.

    pip install uv && python .ci/lock.py

PyPI's torch for Linux wants NVIDIA's libraries, and that of https://download.pytorch.org/whl/cpu does not; the two
have other hashes. So requirements.lock takes both, requirements-cuda.lock adds the libraries, and
requirements-dev.lock what tests and linters need besides.
"""

import re
import subprocess
import urllib.request
from pathlib import Path

CPU_TORCH = "https://download.pytorch.org/whl/cpu/torch/"
CUDA = re.compile(r"(nvidia|cuda|triton)\b")
HEAD = "# Made by .ci/lock.py. {what}\n"


def entries(*requirements: str) -> dict[str, str]:
    """Name -> its lines: the pin, and a hash per file on PyPI, for every system and Python that blindsr has."""
    command = ["uv", "pip", "compile", *requirements, "--universal", "--python-version", "3.11", "--no-config"]
    command += ["--default-index", "https://pypi.org/simple", "--generate-hashes", "--no-annotate", "--no-header"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.findall(r"^([\w.-]+).*\n(?:    --hash.*\n?)+", text, re.MULTILINE)
    blocks = [match[0] for match in re.finditer(r"^[\w.-]+.*\n(?:    --hash.*\n?)+", text, re.MULTILINE)]
    return dict(zip(found, blocks, strict=True))


def cpu_hashes(page: str, version: str) -> list[str]:
    """SHA-256 of each file of a torch without CUDA, as its index page has them."""
    return sorted(set(re.findall(rf"torch-{re.escape(version)}(?:%2B|\+)cpu-[^\"#]*#sha256=([0-9a-f]{{64}})", page)))


def with_hashes(block: str, hashes: list[str]) -> str:
    """An entry that takes these files, too."""
    pin, *known = block.rstrip("\n").split(" \\\n")
    lines = sorted({*known, *(f"    --hash=sha256:{digest}" for digest in hashes)})
    return " \\\n".join([pin, *lines]) + "\n"


def main() -> None:
    run, everything = entries("requirements.txt"), entries("requirements.txt", "requirements-dev.txt")
    version = run["torch"].split("==")[1].split()[0]
    with urllib.request.urlopen(CPU_TORCH, timeout=60) as answer:
        run["torch"] = with_hashes(run["torch"], cpu_hashes(answer.read().decode(), version))
    own = [block for name, block in run.items() if not CUDA.match(name)]
    cuda = [block for name, block in run.items() if CUDA.match(name)]
    dev = [block for name, block in everything.items() if name not in run]
    for path, what, lines in (
        ("requirements.lock", "For a torch without CUDA, and for macOS.", own),
        ("requirements-cuda.lock", "For PyPI's torch on Linux.", ["-r requirements.lock\n", *cuda]),
        ("requirements-dev.lock", "What `make test` and `make lint` need besides.", dev),
    ):
        Path(path).write_text(HEAD.format(what=what) + "".join(lines))


if __name__ == "__main__":
    main()
