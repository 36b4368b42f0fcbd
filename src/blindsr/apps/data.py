"""`blindsr fetch --status`: what is here of every data set, and how to get the rest."""

from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from blindsr.acquisition import catalog, inspection, sources
from blindsr.acquisition.catalog import Manifest
from blindsr.config.params import Params
from blindsr.config.schema import DataParams
from blindsr.data import indices
from blindsr.runtime.errors import UserError


class State(NamedTuple):
    """`word` is verified, present, partial or missing; `detail` says what is here, or how to get the set."""

    word: str
    detail: str


def print_status(params: Params) -> None:
    """Print one line per manifest; the sets of the settings are marked with their use."""
    table = Table(box=None, pad_edge=False)
    for title in ("set", "use", "state", "detail"):
        table.add_column(title, overflow="fold")
    for name in catalog.known_sets():
        manifest = catalog.load_manifest(name)
        found = state(manifest, params.data)
        table.add_row(name, _use(name, params.data), found.word, found.detail)
    console = Console()
    console.print(table)
    console.print(
        "The sets in use are those of data.train, data.benchmarks and data.lpips_trunk in conf/.", style="dim"
    )


def state(manifest: Manifest, data: DataParams) -> State:
    """What is here of a set, by names and sizes; hashes are what the fetch stage checks."""
    folder = indices.set_folder(manifest.name, data.roots)
    index = _index(manifest.name)
    if index and index.images and all((folder / image.file).is_file() for image in index.images):
        left_out = f", left out: {', '.join(index.left_out)}" if index.left_out else ""
        return State("verified", f"{len(index.images)} files in {folder}{left_out}")
    waiting = _waiting(manifest)
    if manifest.name in data.roots and not indices.root_path(data.roots[manifest.name]).exists():
        return State("missing", f"data.roots.{manifest.name} is {folder}, which is not there: correct it")
    if manifest.expected and folder.is_dir():
        absent = inspection.absent_files(manifest, folder)
        here = len(manifest.expected) - len(absent)
        if not absent:
            return State("present", f"{here} files in {folder}, not verified yet: `dvc repro --force fetch`")
        if here:
            again = f"`dvc repro --force fetch` gets the rest{waiting and ', ' + waiting}"
            return State("partial", f"{here} of {len(manifest.expected)} files in {folder}: {again}")
    elif folder.is_dir() and any(folder.iterdir()):
        return State("present", f"in {folder}, not verified yet: `dvc repro --force fetch`")
    if waiting:
        return State("partial", f"{waiting}: `dvc repro --force fetch` resumes")
    return State("missing", manifest.how_to_get)


def _use(name: str, data: DataParams) -> str:
    uses = {data.train: "train", data.lpips_trunk: "lpips"} | dict.fromkeys(data.benchmarks, "benchmark")
    return uses.get(name, "")


def _index(name: str) -> indices.Index | None:
    try:
        return indices.read_index(name)
    except UserError:
        return None


def _waiting(manifest: Manifest) -> str:
    """Bytes of the set's unfinished downloads, in words; empty if there are none."""
    folder = sources.downloads_folder()
    urls = [source.url for source in manifest.sources if isinstance(source, catalog.ArchiveSource)]
    archives = [sources.archive_of(url) for url in urls]
    places = [*(path.with_name(f"{path.name}.part") for path in archives), *(folder / manifest.name).glob("*.part")]
    there = sum(place.stat().st_size for place in places if place.is_file())
    return f"{there / 2**20:.0f} MiB downloaded so far" if there else ""
