"""TorchScript archives, which are programs: their operators are checked before anything of them runs.

`torch.jit.load` itself runs code (`__setstate__`), and operators such as `from_file` map any file into memory, where
an assignment writes into it. So the source in the archive is read first, as text.
"""

import io
import tokenize
import zipfile
from pathlib import Path

import torch

from blindsr.runtime import zip_files
from blindsr.runtime.errors import UserError

_MOST_FILES = 20_000
_MOST_SOURCE = 1 << 26  # bytes
_LIST = Path(__file__).with_name("harmless_operators.txt")


def is_archive(path: Path) -> bool:
    """Whether a file is a TorchScript archive, by what is in it."""
    names = [member.filename for member in members(path)]
    return any("/code/" in name for name in names) and any(name.endswith("/constants.pkl") for name in names)


def members(path: Path) -> list[zipfile.ZipInfo]:
    """What a zip archive holds; nothing for another file.

    Args:
        path: Of the file.

    Raises:
        UserError: for more files than any network has.
    """
    try:
        with path.open("rb") as file, zip_files.open_zip(file, _MOST_FILES) as archive:
            return archive.infolist()
    except zip_files.TooManyMembersError as error:
        raise UserError(f"{path} is refused: {error}; save its weights alone") from None
    except Exception:  # whatever the reader raises on a file that is something else
        return []


def require_harmless(path: Path) -> None:
    """Check every operator that the source in an archive names.

    Args:
        path: Of a TorchScript archive. Nothing of it is run.

    Raises:
        UserError: that names the file and the operator that is not known to be harmless; for a loop without a bound;
            and for an archive that two readers may read differently.
    """
    with zipfile.ZipFile(path) as archive:
        found = archive.infolist()
        names = [member.filename for member in found]
        if len(names) > _MOST_FILES or len(set(names)) < len(names):
            raise UserError(f"{path} is refused: its archive holds {len(names)} files, some perhaps of one name")
        sources = [member for member in found if member.filename.endswith(".py")]
        if sum(member.file_size for member in sources) > _MOST_SOURCE:
            raise UserError(f"{path} is refused: its source is larger than {_MOST_SOURCE >> 20} MiB")
        for member in sources:
            wrong = _unknown(archive.read(member).decode("utf-8", "replace"))
            if wrong:
                raise UserError(
                    f"{path} is refused: its program uses {wrong}, which may read or write files, or never end; "
                    "--trust runs it all the same"
                )


def _unknown(source: str) -> str | None:
    """The first operator that is not harmless, or "while"."""
    suspect = _operators() - harmless()
    before = ""
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.NAME:
                if token.string == "while":
                    return "while"
                if before == "." and token.string in suspect:
                    return token.string
            if token.type not in (tokenize.NL, tokenize.NEWLINE, tokenize.COMMENT):
                before = token.string
    except (tokenize.TokenError, IndentationError, SyntaxError):
        return "what is no source of TorchScript"
    return None


def _operators() -> frozenset[str]:
    schemas = torch._C._jit_get_all_schemas()
    return frozenset(schema.name.split("::")[-1] for schema in schemas)


def harmless() -> frozenset[str]:
    """Names of operators that compute, and neither read nor write anything outside of their tensors."""
    lines = _LIST.read_text("utf-8").splitlines()
    return frozenset(name for line in lines if not line.startswith("#") for name in line.split())
