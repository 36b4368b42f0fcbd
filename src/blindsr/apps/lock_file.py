"""A dvc.lock that is cut off or damaged, as a kill leaves it while DVC writes: set aside, and put together again."""

import subprocess
from pathlib import Path

import yaml

from blindsr.runtime import files, paths, recorded
from blindsr.runtime.errors import UserError
from blindsr.runtime.recorded import LOCK

_HEAD = "schema: '2.0'\nstages:\n"


def restore() -> str | None:
    """Replace a damaged dvc.lock by the stages in it that are whole, and git's version of the others.

    DVC finds the results of stages that neither has in its run cache, so nothing is computed again.

    Returns:
        What was done, in one line; None where the file is whole, or there is none.

    Raises:
        UserError: where the file has conflicts of a merge, or cannot be written.
    """
    try:
        content = LOCK.read_bytes()
    except FileNotFoundError:
        return None
    text = content.decode("utf-8", "replace")
    if "\n<<<<<<< " in text:
        raise UserError(f"{LOCK} has conflicts of a merge: resolve them, or `git checkout --ours {LOCK}`")
    whole = _whole(text)
    head, *stages = recorded.blocks(text)
    if stages and len(whole) == len(stages) and head.split() == _HEAD.split() and text.endswith("\n"):
        return None
    aside = paths.project_root() / ".train_state" / "damaged" / LOCK
    files.write_atomic(aside, content)
    ours = _whole(_committed())
    known = ours | whole
    if known:
        files.write_atomic(LOCK, _HEAD + "".join(known.values()))
    else:
        LOCK.unlink()
    lost = f"{len(whole)} stages of it are whole, {len(known) - len(whole)} are from git"
    return f"{LOCK} was damaged: {lost}, `dvc repro` finds the others in its run cache; the old file is {aside}"


def _whole(text: str) -> dict[str, str]:
    """Name -> text of the stages that have all that DVC wants."""
    found = {}
    for block in recorded.blocks(text)[1:]:
        try:
            parsed = yaml.load(block, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            ((name, stage),) = parsed.items()
            hashed = [*stage.get("deps", []), *stage["outs"]]
            right = all(entry["path"] and recorded.is_hash(str(entry["md5"])) for entry in hashed)
            right &= set(stage) <= {"cmd", "deps", "params", "outs"} and isinstance(stage["cmd"], str | list)
            right &= all(isinstance(values, dict) for values in stage.get("params", {}).values())
        except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError):
            continue
        if right and block.endswith("\n") and "\ufffd" not in block:  # which stands for bytes that are no UTF-8
            found[str(name)] = block
    return found


def _committed() -> str:
    """The text that git has; empty without."""
    command = ["git", "show", f"HEAD:./{Path(LOCK).as_posix()}"]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError:
        return ""
    return done.stdout.decode("utf-8", "replace") if not done.returncode else ""
