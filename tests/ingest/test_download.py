"""Claims about fetching a database, from a local server that misbehaves on demand."""

import hashlib
import http.server
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fewcase.ingest.download import Downloaded, Patience, download, parse_list
from fewcase.study.errors import InputError

SCRIPT = Path(__file__).parents[2] / "workflow" / "download.py"

QUICK = Patience(attempts=3, pause_s=0.001, timeout_s=5)

FILES = {
    "RECORDS": b"1001\n",
    "1001.hea": b"1001 2 4 19200\n",
    "1001.dat": bytes(range(256)) * 1200,
    "empty": b"",
    "notes/read me.txt": b"in a folder, with a blank in its name\n",
}


class Server(http.server.ThreadingHTTPServer):
    """Serves `files`; what goes wrong is set by the other attributes."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = dict(FILES)
        self.sums = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
        self.ranges = True
        self.break_after = None
        self.statuses = {}
        self.requests = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/ctg/1.0.0/"

    def listing(self):
        return "".join(f"{sum_} {name}\n" for name, sum_ in self.sums.items()).encode()

    def asked_for(self, name):
        return [begin for asked, begin in self.requests if asked == name]


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        server = self.server
        name = self.path.removeprefix("/ctg/1.0.0/").replace("%20", " ")
        begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        server.requests.append((name, begin))
        if server.statuses.get(name):
            self.send_error(server.statuses[name].pop(0))
            return
        content = server.listing() if name == "SHA256SUMS.txt" else server.files.get(name)
        if content is None:
            self.send_error(404)
            return
        if "Range" in self.headers and server.ranges:
            if begin >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
            content = content[begin:]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        limit = server.break_after
        if limit is not None and len(content) > 1000:
            limit = limit.pop(0) if isinstance(limit, list) else limit
            content = content[:limit]
            self.close_connection = True
        self.wfile.write(content)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def fetch(server, folder, **options):
    return download(server.url, folder, patience=QUICK, **options)


def on_disk(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "SHA256SUMS.txt"
    }


def test_every_listed_file_arrives_with_its_list(server, tmp_path):
    assert fetch(server, tmp_path / "new") == Downloaded(kept=0, fetched=5)
    assert on_disk(tmp_path / "new") == FILES
    assert (tmp_path / "new" / "SHA256SUMS.txt").read_bytes() == server.listing()


def test_verified_files_are_kept_and_others_replaced(server, tmp_path):
    fetch(server, tmp_path)
    (tmp_path / "1001.hea").write_bytes(b"changed by hand")
    server.requests.clear()
    assert fetch(server, tmp_path) == Downloaded(kept=4, fetched=1)
    assert server.asked_for("1001.dat") == []
    assert on_disk(tmp_path) == FILES


def test_a_broken_connection_is_continued_where_it_broke(server, tmp_path):
    server.break_after = 100_000
    assert fetch(server, tmp_path) == Downloaded(kept=0, fetched=5)
    assert on_disk(tmp_path) == FILES
    begins = server.asked_for("1001.dat")
    assert begins == [0, 100_000, 200_000, 300_000]


def test_a_killed_download_goes_on_from_its_part_in_the_next_run(server, tmp_path):
    (tmp_path / "1001.dat.part").write_bytes(FILES["1001.dat"][:123_456])
    fetch(server, tmp_path)
    assert server.asked_for("1001.dat") == [123_456]
    assert on_disk(tmp_path) == FILES


def test_a_whole_part_only_gets_its_name(server, tmp_path):
    (tmp_path / "1001.dat.part").write_bytes(FILES["1001.dat"])
    fetch(server, tmp_path)
    assert server.asked_for("1001.dat") == [len(FILES["1001.dat"])]
    assert on_disk(tmp_path) == FILES


@pytest.mark.parametrize("part", [b"of another version" * 50, FILES["1001.dat"] + b"and more"])
def test_a_part_that_does_not_fit_is_thrown_away(server, tmp_path, part):
    (tmp_path / "1001.dat.part").write_bytes(part)
    fetch(server, tmp_path)
    assert server.asked_for("1001.dat") == [len(part), 0]
    assert on_disk(tmp_path) == FILES


def test_a_server_without_ranges_is_begun_anew(server, tmp_path):
    server.ranges = False
    (tmp_path / "1001.dat.part").write_bytes(FILES["1001.dat"][:1000])
    fetch(server, tmp_path)
    assert on_disk(tmp_path) == FILES


def test_a_connection_that_breaks_now_earlier_now_later_is_given_up_too(server, tmp_path):
    server.ranges = False
    server.break_after = [100_000, 50_000] * 20
    with pytest.raises(InputError, match=r"1001\.dat: given up after 3 attempts"):
        fetch(server, tmp_path)
    assert len(server.asked_for("1001.dat")) == 4


def test_a_connection_that_never_gets_further_is_given_up_with_its_part_kept(server, tmp_path):
    server.ranges = False
    server.break_after = 100_000
    with pytest.raises(InputError, match=r"1 of 5 files.*\n.*1001\.dat: given up after 3 attempts"):
        fetch(server, tmp_path)
    found = on_disk(tmp_path)
    assert found.pop("1001.dat.part") == FILES["1001.dat"][:100_000]
    assert found == {name: content for name, content in FILES.items() if name != "1001.dat"}
    assert not (tmp_path / "SHA256SUMS.txt").exists()


def test_a_corrupted_file_is_named_and_not_kept(server, tmp_path):
    server.files["1001.dat"] = FILES["1001.dat"][:-1] + b"?"
    found = hashlib.sha256(server.files["1001.dat"]).hexdigest()
    with pytest.raises(InputError, match=rf"1001\.dat: .*sum is {found}, expected") as caught:
        fetch(server, tmp_path)
    assert server.sums["1001.dat"] in str(caught.value)
    assert "1001.dat" not in "".join(on_disk(tmp_path))
    assert "1001.hea" in on_disk(tmp_path)


def test_a_busy_server_is_asked_again_and_a_refusing_one_is_not(server, tmp_path):
    server.statuses = {"1001.hea": [503, 429], "SHA256SUMS.txt": [500]}
    assert fetch(server, tmp_path / "a").fetched == 5
    assert len(server.asked_for("1001.hea")) == 3
    del server.files["1001.hea"]
    server.requests.clear()
    with pytest.raises(InputError, match=r"1001\.hea: the server answers 404"):
        fetch(server, tmp_path / "b")
    assert len(server.asked_for("1001.hea")) == 1


@pytest.mark.parametrize(
    "name",
    [
        "../outside.dat",
        "notes/../../outside.dat",
        "/etc/outside.dat",
        "..",
        "..\\outside.dat",
        "C:outside.dat",
    ],
)
def test_a_path_that_leads_out_of_the_folder_is_refused_before_anything_is_fetched(
    server, tmp_path, name
):
    server.sums[name] = "0" * 64
    with pytest.raises(InputError, match="outside the folder"):
        fetch(server, tmp_path / "in")
    assert [asked for asked, _ in server.requests] == ["SHA256SUMS.txt"]
    assert os.listdir(tmp_path) == []


def test_an_address_without_a_list_is_an_error_that_says_so(server, tmp_path):
    with pytest.raises(InputError, match=r"none/SHA256SUMS\.txt: the server answers 404"):
        download(server.url + "none", tmp_path, patience=QUICK)
    with pytest.raises(InputError, match="no http or https address"):
        download("file:///etc/", tmp_path, patience=QUICK)
    server.sums = {}
    with pytest.raises(InputError, match="list is empty"):
        fetch(server, tmp_path)


def test_no_server_at_all_is_given_up_after_some_attempts(server, tmp_path):
    url = server.url
    server.server_close()
    with pytest.raises(InputError, match="given up after 3 attempts"):
        download(url, tmp_path, patience=QUICK)


def test_both_forms_of_sum_lists_are_read_and_others_refused():
    one, two = "a" * 64, "B" * 64
    listing = f"{one} a.dat\n{two} *b b.dat\n\n{one}  ./c.dat\n{one} a.dat\n".encode()
    assert parse_list(listing, "list") == {"a.dat": one, "b b.dat": two.lower(), "c.dat": one}
    for text, words in [
        (b"<html>", "line 1 is '<html>'"),
        (f"{one}\n".encode(), "file name"),
        (f"{one[:-1]} a\n".encode(), "expected a SHA-256 sum"),
        (f"{one} a\n{two} a\n".encode(), "two different sums"),
    ]:
        with pytest.raises(InputError, match=words):
            parse_list(text, "list")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a full disk of Linux")
def test_a_full_disk_stops_all_with_a_clear_error(server, tmp_path):
    (tmp_path / "1001.dat.part").symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"1001\.dat\.part: no space left on the disk"):
        fetch(server, tmp_path, parallel=1)
    assert not (tmp_path / "SHA256SUMS.txt").exists()


def run_script(*arguments):
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False
    )


def test_the_command_fetches_and_tells_mistakes_in_one_message(server, tmp_path):
    done = run_script("--url", server.url, "--out", tmp_path / "db")
    assert done.returncode == 0, done.stderr
    assert "5 files verified (5 fetched now, 0 there before)" in done.stderr
    assert on_disk(tmp_path / "db") == FILES
    failed = run_script("--url", server.url + "none/", "--out", tmp_path / "db")
    assert failed.returncode == 1
    assert "the server answers 404" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_the_command_needs_the_standard_library_alone():
    # -S hides the packages of the environment.
    done = subprocess.run(
        [sys.executable, "-S", SCRIPT, "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "https://physionet.org/files/ctu-uhb-ctgdb/1.0.0/" in done.stdout.replace("\n", "")
