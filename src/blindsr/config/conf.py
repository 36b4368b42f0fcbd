"""conf/, which people edit, composed into params.yaml, which the stages read: as `dvc exp run` does it."""

import re
from pathlib import Path
from typing import Any

import yaml

from blindsr.runtime import files, packages
from blindsr.runtime.errors import UserError

_MARK = "# composed from conf/ by `blindsr params`, "
"""Begins the first line of a params.yaml that `write` wrote; what `_digest` says follows."""
_RESOLVER = re.compile(rb"\$\{[^}]*:")
"""Something like ${oc.env:NAME}: a composition that depends on more than conf/."""


def compose(conf: Path, overrides: list[str] | None = None) -> dict[str, Any]:
    """Compose conf/config.yaml with Hydra.

    Args:
        conf: Folder of the settings.
        overrides: As Hydra takes them, such as ["train.batch=8", "reg=rff"].

    Returns:
        The settings as plain values, with every reference resolved.

    Raises:
        UserError: without Hydra, for a broken conf/ or a wrong override.
    """
    packages.require("hydra", f"composing {conf}/", "hydra-core")
    from hydra import compose as hydra_compose  # it takes time to import, and only this needs it
    from hydra import initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        with initialize_config_dir(str(conf.resolve()), version_base=None):
            composed = OmegaConf.to_container(hydra_compose("config", overrides=overrides or []), resolve=True)
    except UnicodeDecodeError:  # which does not say of which file
        for path in sorted(conf.rglob("*.yaml")):
            files.read_text(path)
        raise
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{conf}/ cannot be composed: {' '.join(str(error).split())}") from None
    assert isinstance(composed, dict)
    return {str(key): value for key, value in composed.items()}


def write(conf: Path, params_yaml: Path) -> None:
    """Compose conf/ into a file whose first line says what it was made of, so that `refuse_stale` need not compose.

    Args:
        conf: Folder of the settings.
        params_yaml: Path of the file.

    Raises:
        UserError: as `compose` and `files.write_atomic` do.
    """
    composed = compose(conf)
    from omegaconf import OmegaConf

    text = OmegaConf.to_yaml(OmegaConf.create(composed))
    digest = _digest(conf, text)
    files.write_atomic(params_yaml, f"{_MARK}{digest}\n{text}" if digest else text)


def _digest(conf: Path, text: str) -> str | None:
    """Of all settings in conf/ and of their composition; None where that depends on something else."""
    try:
        found = sorted(path for path in conf.rglob("*.yaml") if path.is_file())
        contents = {str(path.relative_to(conf)): path.read_bytes() for path in found}
    except OSError:  # `compose` says of which file
        return None
    if any(_RESOLVER.search(content) for content in contents.values()):
        return None
    hashes = {name: files.sha256(content) for name, content in contents.items()}
    return files.key([hashes, text])[:16]


def _is_marked(text: str, conf: Path) -> bool:
    """Whether `write` wrote this text, of the conf/ that is there now."""
    first, _, rest = text.partition("\n")
    return first.startswith(_MARK) and first.removeprefix(_MARK) == _digest(conf, rest)


def refuse_stale(settings: Any, params_yaml: Path) -> None:
    """Refuse settings that are not those of conf/, which lies beside their file.

    Where Hydra is not installed, which alone can tell, the settings are taken as they are. Composing takes 0.2 s;
    a file that `write` wrote and nobody changed since is known without it.

    Args:
        settings: What `params_yaml` holds.
        params_yaml: Path of the file. Nothing is checked where it has no conf/ beside it.

    Raises:
        UserError: that names the keys in which they differ; and as `compose` does.
    """
    conf = params_yaml.resolve().parent / "conf"
    if not conf.is_dir() or not packages.installed("hydra"):
        return
    if params_yaml.is_file() and _is_marked(files.read_text(params_yaml), conf):
        return
    keys = _differences(settings, compose(conf))
    if keys:
        raise UserError(
            f"{params_yaml.name} differs from conf/ in {', '.join(keys)}: run `make params` to compose it from "
            "conf/, or give your changes to `dvc exp run -S KEY=VALUE`"
        )


def _differences(left: Any, right: Any, prefix: str = "") -> list[str]:
    if isinstance(left, dict) and isinstance(right, dict):
        keys = [*left, *(key for key in right if key not in left)]
        return [d for key in keys for d in _differences(left.get(key), right.get(key), f"{prefix}{key}.")]
    return [] if left == right else [prefix.rstrip(".")]
