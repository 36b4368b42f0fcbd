"""The house rules that hold the structure: direction of imports, deps of stages, size of files."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from blindsr import plugins

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "blindsr"
FILES = sorted(PACKAGE.rglob("*.py"))

# From top to bottom; a module imports from its own layer or from below.
LAYERS = [
    {"cli"},
    {"stages", "apps"},
    {"training", "evaluation", "journal"},
    {"scoring"},
    {
        "networks",
        "checkpoints",
        "state_dicts",
        "onnx_network",
        "inference",
        "degradations",
        "datasets",
        "reporting",
        "analysis",
    },
    {"metrics", "images", "photos", "params", "plugins", "tracking", "devices", "progress", "conf", "parallel"},
    {"backbones", "regularizers", "files", "paths", "errors", "settings", "provenance"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

# What cannot change the result of a stage: how settings are read and checked (their values are in `params`), where
# files lie, how they are written, what is printed or tracked, how foreign weights are read (a run depends on the hash
# of their file). A comment there must not retrain the paper's grid.
PLUMBING = {
    "__init__.py", "backbones/__init__.py", "regularizers/__init__.py",
    "checkpoints.py", "conf.py", "errors.py", "files.py", "onnx_network.py", "parallel.py", "params.py",
    "paths.py", "plugins.py", "progress.py", "provenance.py", "settings.py", "state_dicts.py", "tracking.py",
}  # fmt: skip


def module_file(name: str) -> Path | None:
    path = ROOT / "src" / name.replace(".", "/")
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    return path / "__init__.py" if (path / "__init__.py").is_file() else None


def imports(path: Path) -> dict[str, Path | None]:
    """Every module that a file imports anywhere -> its file, for this project's own."""
    found: dict[str, Path | None] = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name: module_file(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                own = module_file(f"{node.module}.{alias.name}") if node.module.startswith("blindsr") else None
                found[f"{node.module}.{alias.name}"] = own or module_file(node.module)
    return {name: file for name, file in found.items() if file is None or PACKAGE in file.parents}


def layer(path: Path) -> str:
    part = path.relative_to(PACKAGE).parts[0]
    return part.removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downwards(path: Path) -> None:
    own = layer(path)
    if own == "__init__":
        return
    for name, file in imports(path).items():
        if file is None or layer(file) in ("__init__", own):
            continue
        assert LEVEL[layer(file)] >= LEVEL[own], f"{path.name} imports {name} from above"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_dependency_has_one_importer(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports(path)}
    assert "mlflow" not in roots or path.name == "tracking.py"
    assert "torchvision" not in roots
    assert "lpips" not in roots
    torch_distributed = any(name.startswith("torch.distributed") for name in imports(path))
    assert not torch_distributed or path == PACKAGE / "training" / "distributed.py"


@pytest.mark.parametrize("path", sorted((PACKAGE / "stages").glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_stages_do_not_import_stages(path: Path) -> None:
    assert not any(file and file.parent == path.parent for file in imports(path).values())


@pytest.mark.parametrize("kind", ["backbones", "regularizers"])
def test_plugins_import_nothing_of_the_pipeline(kind: str) -> None:
    for path in (PACKAGE / kind).glob("*.py"):
        own = [file for file in imports(path).values() if file]
        assert all(file == PACKAGE / kind / "_blocks.py" for file in own), path


def test_mlflow_is_imported_only_when_a_run_is_opened() -> None:
    top = [node for node in ast.parse((PACKAGE / "tracking.py").read_text()).body if isinstance(node, ast.Import)]
    assert not any(alias.name.startswith("mlflow") for node in top for alias in node.names)


def stages() -> dict[str, dict[str, object]]:
    return yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def reached(stage: str) -> set[Path]:
    """Files of all first-party modules that a stage imports, directly or not."""
    todo, seen = [PACKAGE / "stages" / f"{stage}.py"], set()
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            todo += [file for file in imports(path).values() if file]
    return seen


@pytest.mark.parametrize("stage", stages())
def test_deps_cover_what_a_stage_imports(stage: str) -> None:
    deps = [ROOT / dep for dep in stages()[stage]["deps"]]
    module = stage.split("_")[0]
    for path in reached(module):
        if str(path.relative_to(PACKAGE)) in PLUMBING or path.name == "__init__.py":
            continue
        assert any(dep == path or dep in path.parents for dep in deps), f"{stage} lacks {path.relative_to(ROOT)}"


@pytest.mark.parametrize("stage", stages())
def test_deps_name_no_code_that_a_stage_does_not_import(stage: str) -> None:
    files = reached(stage.split("_")[0])
    for dep in stages()[stage]["deps"]:
        if not dep.startswith("src/") or "${" in dep or "backbones/" in dep:
            continue
        path = ROOT / dep
        assert path.exists(), dep
        assert any(path == file or path in file.parents for file in files), f"{stage} does not import {dep}"


def test_every_stage_has_a_module_and_a_command() -> None:
    for name, stage in stages().items():
        module = name.split("_")[0]
        assert (PACKAGE / "stages" / f"{module}.py").is_file()
        assert str(stage["cmd"]).startswith(f"blindsr {module}")


@pytest.mark.parametrize("kind", ["backbone", "regularizer"])
def test_names_can_be_joined_by_dvc(kind: str) -> None:
    assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in plugins.names(kind))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_are_short_and_none_is_a_drawer(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 350
    assert path.stem not in ("utils", "helpers", "common", "misc")


def test_made_files_are_ignored_in_the_root_gitignore() -> None:
    """DVC would write nested .gitignore files otherwise, which change directory hashes."""
    ignored = (ROOT / ".gitignore").read_text()
    for line in ("/data/raw/", "/data/index/", "/data/patches/", "/data/lr/", "/models/*", "/reports/scores/"):
        assert line in ignored
    nested = [path for path in (ROOT / "reports").rglob(".gitignore")] + list((ROOT / "models").rglob(".gitignore"))
    assert not nested
