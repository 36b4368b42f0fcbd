"""Attacks on secrets, files on their way, tables and databases: see `attacks.py`."""

import contextlib
import os
import shutil
import socketserver
import subprocess
import sys
import threading
from pathlib import Path

from blindsr.config.described import described
from blindsr.reporting import csv_files
from blindsr.runtime import packages, privacy, temporary, tracking, tracking_store
from blindsr.runtime.errors import UserError
from tests import mlflow_server
from tests.attack_tools import ROOT, SECRET, Attacks, Given, refused, settings

# 7: leaks ----------------------------------------------------------------------------------------------------------


def addresses(given: Given) -> Attacks:
    forms = [
        f"http://me:{SECRET}@h.example:5000", f"http://{SECRET}@h.example", f"http://me:p@{SECRET}@h.example/x",
        f"http://me:{SECRET}/x@h.example", f"http://me:%40{SECRET}@h.example", f"http://h.example/?password={SECRET}",
        f"http://h.example/?a=1&token={SECRET}#x", f"http://h.example/#token={SECRET}", f"http://h.example?{SECRET}",
        f"postgresql+psycopg2://me:{SECRET}@db/runs?sslmode=no", f"mysql://me:{SECRET}@[::1]:3306/runs",
        f"HTTPS://me:{SECRET}@h.example", f"databricks://{SECRET}@profile",
    ]  # fmt: skip

    def shown(form: str) -> str | None:
        texts = [tracking_store.shown(form), privacy.public(f"at {form}, again"), privacy.setting(f"--to={form}")]
        texts.append(tracking_store.reason(Exception(f"HTTPConnectionPool: {form} refused")))
        return f"shows {texts}" if any(SECRET in text for text in texts) else None

    for form in forms:
        yield form, lambda form=form: shown(form)
        yield f"mirror {form}", refused(lambda form=form: settings({"data.mirror": form}))
    hidden = [f"/home/{SECRET} x/a.pth", f"~/{SECRET}/a.pth", f"/mnt/{SECRET}/a.pth", f"C:\\{SECRET}\\a.pth"]

    def start(place: str) -> str | None:
        found = settings({"train.init_from": place, "data.roots": {"Set5": place}})
        texts = [found.as_text(), repr(described(found, found.runs[0])), privacy.setting(place)]
        return f"shows {texts}" if any(SECRET in text for text in texts) else None

    for place in hidden:
        yield place, lambda place=place: start(place)


# 8 and 10: files on their way, rows --------------------------------------------------------------------------------


def leftovers(given: Given) -> Attacks:
    def attack(named: bool) -> str | None:
        child = "import os,sys,signal\nfrom pathlib import Path\nfrom blindsr.runtime import temporary\n"
        child += "" if not named else "del os.O_TMPFILE\n"
        child += "with temporary.whole(Path('models/a')) as f: f.write(b'x'); os.kill(os.getpid(), signal.SIGKILL)"
        Path("models").mkdir()
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        subprocess.run([sys.executable, "-c", child], env=environment, check=False)
        temporary.sweep(Path("models"))
        left = list(Path("models").iterdir())
        return f"left {left}" if left else None

    for named in (False, True):
        yield f"named: {named}", lambda named=named: attack(named)


def rows(given: Given) -> Attacks:
    """A digit of a table changed by hand, or half of it, is not used."""
    kinds = [
        path
        for name in ("scores", "curves", "analysis")
        for path in (given.project / "reports" / name).rglob("*.csv")
    ]
    for number in range(given.rounds):
        path = kinds[int(given.draw.integers(len(kinds)))].relative_to(given.project)
        content = (given.project / path).read_text()
        digits = [place for place, letter in enumerate(content) if letter.isdigit()]
        place = digits[int(given.draw.integers(len(digits)))]
        changed = content[:place] + str((int(content[place]) + 1) % 10) + content[place + 1 :]
        text = changed if number % 2 else content[: int(given.draw.integers(1, len(content)))]

        def attack(path: Path = path, text: str = text) -> None:
            shutil.copytree(given.project, "p", symlinks=True)
            with contextlib.chdir("p"):
                path.write_text(text)
                csv_files.read(path, again="again")

        yield str(path), refused(attack)


# 9: MLflow ---------------------------------------------------------------------------------------------------------


def damaged_databases(given: Given) -> Attacks:
    if not packages.installed("mlflow"):
        return
    for what, content in (
        ("text", b"no database" * 400),
        ("a folder", None),
        ("a header alone", b"SQLite format 3\0" * 7),
    ):

        def attack(content: bytes | None = content) -> None:
            Path("mlflow.db").write_bytes(content) if content else Path("mlflow.db").mkdir()
            with tracking_store.asked("sqlite:///mlflow.db"):
                list(tracking_store.runs(tracking_store.connect("sqlite:///mlflow.db")))

        yield what, refused(attack)


def scratched_databases(given: Given) -> Attacks:
    """A page of a real database is overwritten: it is read all the same, or called damaged."""
    if not packages.installed("mlflow"):
        return
    whole: list[bytes] = []

    def attack(place: float, damage: bytes) -> str | None:
        store = "sqlite:///mlflow.db"
        if not whole:
            with tracking.open_run("a", "key", {"x": 1}, store=store) as run:
                run.summary({"psnr_db": 20.0})
            whole.append(Path("mlflow.db").read_bytes())
        page = int(place * (len(whole[0]) // 4096)) * 4096
        Path("mlflow.db").write_bytes(whole[0][:page] + damage + whole[0][page + 4096 :])
        try:
            with tracking_store.asked(store):
                list(tracking_store.runs(tracking_store.connect(store)))
        except UserError as error:
            return None if "damaged" in str(error) else f"says {error}"
        return None

    for _ in range(given.rounds // 4):
        place, damage = float(given.draw.random()), given.draw.bytes(4096)
        yield f"at {place:.2f}", lambda place=place, damage=damage: attack(place, damage)


def dripping(given: Given) -> Attacks:
    if not packages.installed("mlflow"):
        return

    class Drip(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999\r\n\r\n"
            )
            with contextlib.suppress(OSError):
                while not over.wait(0.5):
                    self.request.sendall(b" ")

    over = threading.Event()

    def attack() -> None:
        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Drip) as server:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{server.server_address[1]}"
            try:
                with tracking_store.asked(address):
                    list(tracking_store.runs(tracking_store.connect(address)))
            finally:
                over.set()
                server.shutdown()

    yield "a byte each half second", refused(attack)


def clones(given: Given) -> Attacks:
    """Four processes that make one run on one real server at once, whose locks do not know of each other."""
    if not packages.installed("mlflow"):
        return
    program = """
import os, sys
os.environ["DVC_ROOT"] = sys.argv[2]
from blindsr.runtime import tracking
for key in ("a", "b", "c"):
    with tracking.open_run(key, key, {"x": 1}, store=sys.argv[1]) as run:
        run.summary({"psnr_db": 20.0})
"""

    def attack() -> str | None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        with mlflow_server.mlflow_server("sqlite:///server.db", Path("artifacts").absolute()) as address:
            store = tracking_store.connect(address)
            tracking_store.experiment_id(store, address)
            started = []
            for number in range(4):
                Path(f"clone{number}").mkdir()
                arguments = [sys.executable, "-c", program, address, str(Path(f"clone{number}").absolute())]
                started.append(subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE, text=True))
            said = [process.communicate()[1] for process in started]
            keys = [run.data.tags[tracking_store.KEY_TAG] for run in tracking_store.runs(store)]
        if any(process.returncode for process in started):
            return f"fails: {' '.join(' '.join(said).split())[-300:]}"
        return None if sorted(keys) == ["a", "b", "c"] else f"runs of the keys {sorted(keys)}"

    yield "four clones", attack
