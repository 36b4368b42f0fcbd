"""The house rules that hold the structure: direction of imports, rooms of stages, size of files."""

import ast
import functools
import re
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import yaml

from blindsr.config import registry
from blindsr.runtime import provenance

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "blindsr"
FILES = sorted(PACKAGE.rglob("*.py"))

# Rooms from top to bottom: a module imports from its own floor or from below, and rooms of a floor form no cycle.
FLOORS = [
    ["cli", "__main__"],
    ["api"],
    ["apps"],
    ["stages"],
    ["training", "evaluation", "analysis", "reporting"],
    ["foreign"],
    ["model", "acquisition"],
    ["data"],
    ["plugins"],
    ["config"],
    ["runtime"],
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

# What decides no result of a stage, and so is no stage's dep (see `provenance`).
PLUMBING = ("runtime", "config", "foreign")
LONGEST = 350


def module_file(name: str) -> Path | None:
    path = ROOT / "src" / name.replace(".", "/")
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    return path / "__init__.py" if (path / "__init__.py").is_file() else None


@functools.cache
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


def own(path: Path) -> list[Path]:
    """This project's modules that a file imports."""
    return [file for file in imports(path).values() if file]


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_imports_run_downwards() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {file.relative_to(PACKAGE)} from above"
        for path in FILES
        for file in own(path)
        if room(path) != "__init__" and room(file) != "__init__" and FLOOR[room(file)] < FLOOR[room(path)]
    ]
    assert not wrong, "\n".join(wrong)


def test_modules_form_no_cycle() -> None:
    TopologicalSorter({path: own(path) for path in FILES if path.name != "__init__.py"}).prepare()


def test_each_dependency_has_one_importer() -> None:
    """MLflow has two modules that import it and torch.distributed one; what needs torchvision is imported nowhere."""
    only: dict[str, tuple[str, ...]] = {
        "mlflow": ("runtime/tracking.py", "runtime/tracking_artifacts.py", "runtime/tracking_store.py"),
        "torch.distributed": ("training/distributed.py",),
        "torchvision": (),
        "lpips": (),
    }
    for path in FILES:
        for name in imports(path):
            for package, importers in only.items():
                if name == package or name.startswith(f"{package}."):
                    assert path.relative_to(PACKAGE).as_posix() in importers, f"{path} imports {name}"


def test_stages_do_not_import_stages() -> None:
    for path in (PACKAGE / "stages").glob("[a-z]*.py"):
        assert not any(file.parent == path.parent for file in own(path)), path


def test_plug_ins_import_nothing_of_the_pipeline() -> None:
    """Only what their kind shares: its base, its private modules and its sub-packages; AlexNet's trunk; and how
    packages are imported that need not be there, and kept from the network; and, for a plug-in that is made of
    others, what finds them."""
    anywhere = {
        PACKAGE / "plugins" / "alexnet.py",
        *(PACKAGE / "runtime" / f"{n}.py" for n in ("errors", "offline", "packages")),
    }
    for kind in ("backbones", "degradations", "losses", "metrics", "regularizers"):
        folder = PACKAGE / "plugins" / kind
        shared = {folder / "base.py", *folder.glob("_*.py"), *folder.glob("*/*.py")}
        for path in folder.rglob("*.py"):
            others = set(own(path)) - shared - anywhere
            if path.name == "combination.py":
                others -= {PACKAGE / "config" / "registry.py"}
            assert not others, f"{path} imports {others}"


def test_degradations_need_torch_numpy_and_scipy_alone() -> None:
    for path in (PACKAGE / "plugins" / "degradations").rglob("*.py"):
        packages = {name.split(".")[0] for name in imports(path)} - set(sys.stdlib_module_names)
        assert packages <= {"torch", "numpy", "scipy", "blindsr"}, f"{path} imports {packages}"


def test_mlflow_is_imported_only_when_a_run_is_opened() -> None:
    body = ast.parse((PACKAGE / "runtime" / "tracking.py").read_text()).body
    top = [node for node in body if isinstance(node, ast.Import)]
    assert not any(alias.name.startswith("mlflow") for node in top for alias in node.names)


def stages() -> dict[str, dict[str, list[str]]]:
    return yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def reached(stage: str) -> set[str]:
    """Modules, relative to the package, that a stage imports, directly or not."""
    todo, seen = [PACKAGE / "stages" / f"{stage}.py"], set()
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            todo += own(path)
    return {path.relative_to(PACKAGE).as_posix() for path in seen if path.name != "__init__.py"}


def test_deps_are_the_rooms_that_a_stage_imports() -> None:
    """Every module that is reached lies in a dep, apart from plumbing, and every dep has a module that is reached."""
    for name, stage in stages().items():
        deps = [dep.removeprefix("src/blindsr/") for dep in stage["deps"] if dep.startswith("src/blindsr/")]
        modules = {module for module in reached(name.split("_")[0]) if module.split("/")[0] not in PLUMBING}
        lacking = [m for m in modules if not any(m == dep or m.startswith(f"{dep}/") for dep in deps)]
        assert not lacking, f"{name} lacks {', '.join(lacking)}"
        for dep in deps:
            # found by the name in the settings, or what such a file imports
            by_name = "plugins/" in dep and dep.endswith((".py", "/operators"))
            assert by_name or any(m == dep or m.startswith(f"{dep}/") for m in modules), (
                f"{name} does not import {dep}"
            )
            assert "${" in dep or (PACKAGE / dep).exists(), dep


def test_dvc_and_provenance_name_the_same_code() -> None:
    placeholders = {"backbone": "${item.backbone}", "reg": "${item.reg}", "degradation": "${degradation.name}"}
    of_control = {"backbone": "${item.control}"}
    for name, stage in stages().items():
        plugins = placeholders | (of_control if name == "evaluate_control" else {})
        code = [f"src/blindsr/{place.format(**plugins)}" for place in provenance.CODE[name.split("_")[0]]]
        assert [dep for dep in stage["deps"] if dep.startswith("src/")] == code, name


def test_every_stage_has_a_module_and_a_command() -> None:
    for name, stage in stages().items():
        module = name.split("_")[0]
        assert (PACKAGE / "stages" / f"{module}.py").is_file()
        assert str(stage["cmd"]).startswith(f"blindsr {module}")


def test_names_can_be_joined_by_dvc() -> None:
    for kind in ("backbone", "degradation", "regularizer", "loss", "metric"):
        assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in registry.names(kind))


def test_files_are_short_and_none_is_a_drawer() -> None:
    for path in [*FILES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]:
        assert len(path.read_text().splitlines()) <= LONGEST, path
        assert path.stem not in ("utils", "helpers", "common", "misc"), path


def test_texts_have_their_encoding() -> None:
    """That of the machine would be another one elsewhere."""
    for path in FILES:
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            if any(word.arg == "encoding" for word in call.keywords):
                continue
            of, name = getattr(call.func, "value", None), getattr(call.func, "attr", getattr(call.func, "id", ""))
            texts = [
                each.value for each in call.args if isinstance(each, ast.Constant) and isinstance(each.value, str)
            ]
            if name in ("read_text", "write_text") and of and getattr(of, "id", "") not in ("files", "tables"):
                assert any("utf-8" in text or text == "ascii" for text in texts), f"{path}:{call.lineno}"
            if name == "open":
                assert not any(re.fullmatch(r"[rwax]t?\+?", text) for text in texts), f"{path}:{call.lineno}"


def test_the_package_has_few_rooms() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms == set(FLOOR) - {"cli", "__main__"}


def test_made_files_are_ignored_in_the_root_gitignore() -> None:
    """DVC would write nested .gitignore files otherwise, which change directory hashes."""
    ignored = (ROOT / ".gitignore").read_text()
    for line in ("/data/raw/", "/data/index/", "/data/patches/", "/data/lr/", "/models/*", "/reports/scores/"):
        assert line in ignored
    nested = [path for path in (ROOT / "reports").rglob(".gitignore")] + list((ROOT / "models").rglob(".gitignore"))
    assert not nested
