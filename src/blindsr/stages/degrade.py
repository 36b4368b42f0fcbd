"""degrade: the LR images of the test suite, every benchmark under every case."""

from blindsr import images, paths
from blindsr.datasets import indices
from blindsr.degradations import suite
from blindsr.params import Params
from blindsr.progress import Bar


def run(params: Params) -> None:
    """Write data/lr/<benchmark>/<case>/<image>.png. A missing benchmark is left out; fetch has said so."""
    paths.LR.mkdir(parents=True, exist_ok=True)
    found = [indices.read_index(name) for name in params.data.benchmarks]
    benchmarks = [index for index in found if not index.hr]  # real LR images are degraded as they are
    total = sum(len(index.images) for index in benchmarks) * len(params.suite.cases)
    with Bar("degrade", total) as bar:
        for index in benchmarks:
            folder = indices.set_folder(index.name, params.data.roots)
            for image in index.images:
                hr = images.read_rgb(folder / image.file)
                for name, case in params.suite.cases.items():
                    generator = suite.case_generator(params.suite.seed, index.name, name, image.name)
                    target = paths.LR / index.name / name / f"{image.name}.png"
                    target.parent.mkdir(parents=True, exist_ok=True)
                    images.write_png(target, suite.degrade_case(hr, case, generator, params.scale))
                    bar.advance()
