"""conf/, which people edit, composed into params.yaml, which the stages read: as `dvc exp run` does it."""

from pathlib import Path
from typing import Any

import yaml

from blindsr.runtime import files, packages
from blindsr.runtime.errors import UserError


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
    from hydra import compose as hydra_compose  # a third of a second, which only this needs
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


def refuse_stale(settings: Any, params_yaml: Path) -> None:
    """Refuse settings that are not those of conf/, which lies beside their file.

    Where Hydra is not installed, which alone can tell, the settings are taken as they are.

    Args:
        settings: What `params_yaml` holds.
        params_yaml: Path of the file. Nothing is checked where it has no conf/ beside it.

    Raises:
        UserError: that names the keys in which they differ; and as `compose` does.
    """
    conf = params_yaml.resolve().parent / "conf"
    known = conf.is_dir() and packages.installed("hydra")
    keys = _differences(settings, compose(conf)) if known else []
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
