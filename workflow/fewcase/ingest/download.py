"""Fetch a database over HTTP with its published list of SHA-256 sums: resumed, verified, whole."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import errno
import hashlib
import http.client
import logging
import os
import random
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from fewcase.data.files import atomic_path
from fewcase.study.errors import InputError

CTU_UHB_URL = "https://physionet.org/files/ctu-uhb-ctgdb/1.0.0/"

LIST_NAME = "SHA256SUMS.txt"

_BLOCK_BYTES = 1 << 16
_LONGEST_PAUSE_S = 60.0
_LONGEST_LIST_BYTES = 64 << 20

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Downloaded:
    """How many files were there already, and how many were fetched; all of them are verified."""

    kept: int
    fetched: int


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long a shaky connection is borne with.

    Attributes
    ----------
    attempts
        Tries in a row that bring no byte before a file is given up.
    pause_s
        Pause after the first of them, doubled after each further one.
    timeout_s
        Longest silence of the server.
    """

    attempts: int = 6
    pause_s: float = 1.0
    timeout_s: float = 60.0


def download(
    url: str, folder: Path, *, parallel: int = 4, patience: Patience | None = None
) -> Downloaded:
    """Fetch every file that ``SHA256SUMS.txt`` at `url` lists into `folder`.

    A file that is there with the right sum is kept. One that broke off lies beside its place with
    the suffix ``.part`` and is continued by a Range request, or begun anew where the server has
    none. A file gets its name only once its sum is right. The list is written last, so a folder
    that has it is complete.

    Parameters
    ----------
    url
        Folder of the database, http or https.
    folder
        Made where it is missing.
    parallel
        Connections at a time.
    patience
        How long to retry.

    Raises
    ------
    InputError
        Where the list is missing, no list, or names a path outside `folder`; where a file cannot
        be fetched or has a wrong sum (the others are fetched all the same); where the disk is
        full.
    """
    patience = patience or Patience()
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise InputError(f"--url: {url!r} is no http or https address.")
    base = url if url.endswith("/") else url + "/"
    listing = _fetch_list(base + LIST_NAME, patience)
    sums = parse_list(listing, base + LIST_NAME)
    folder.mkdir(parents=True, exist_ok=True)
    stop = threading.Event()
    jobs = [
        _Job(base + urllib.parse.quote(name), folder / name, expected, patience, stop)
        for name, expected in sums.items()
    ]
    done = _run_all(jobs, parallel, stop)
    with atomic_path(folder / LIST_NAME) as temporary:
        temporary.write_bytes(listing)
    return done


def parse_list(listing: bytes, where: str) -> dict[str, str]:
    """Return the SHA-256 of each file by its relative path.

    Raises
    ------
    InputError
        For a line that is not a sum and a name, and for a path that leads out of the folder.
    """
    sums: dict[str, str] = {}
    for number, line in enumerate(listing.decode("utf-8", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        digest, _, name = line.strip().partition(" ")
        # A star before the name, in the format of sha256sum, marks a file read as binary.
        name = name.strip().removeprefix("*").removeprefix("./")
        if len(digest) != 64 or not set(digest.lower()) <= set("0123456789abcdef") or not name:
            raise InputError(
                f"{where}: line {number} is {line[:120]!r}, expected a SHA-256 sum and a file "
                "name. Check that the address is that of the database's folder."
            )
        if not _is_inside(name):
            raise InputError(
                f"{where}: line {number} names {name!r}, a path outside the folder of the "
                "database. Nothing was fetched; do not trust this server."
            )
        if sums.setdefault(name, digest.lower()) != digest.lower():
            raise InputError(f"{where}: two different sums are given for {name!r}.")
    if not sums:
        raise InputError(f"{where}: the list is empty. Check the address.")
    return sums


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    bare = not path.is_absolute() and ".." not in path.parts and str(path) != "."
    return bare and not any(sign in name for sign in ("\\", ":", "\0"))


def _fetch_list(url: str, patience: Patience) -> bytes:
    """Fetch the list of sums, which is small, in one piece."""
    for attempt in range(1, patience.attempts + 1):
        try:
            with urllib.request.urlopen(url, timeout=patience.timeout_s) as response:
                content = response.read(_LONGEST_LIST_BYTES)
                stated = response.headers.get("Content-Length")
            if stated is None or len(content) == int(stated):
                return content
            reason = f"broke off after {len(content)} of {stated} bytes"
        except Exception as error:
            reason = _reason_to_retry(error, url)
        logger.warning("%s: %s", url, reason)
        if attempt < patience.attempts:
            time.sleep(_pause(attempt, patience))
    raise InputError(
        f"{url}: given up after {patience.attempts} attempts ({reason}). Check the network, or "
        "name another server by --url."
    )


def fetch_file(url: str, path: Path, sha256: str, patience: Patience) -> bool:
    """Fetch one file and check it; return whether it had to be fetched.

    What is there already and has the sum is left alone; what was begun is gone on with.

    Parameters
    ----------
    url, path
        From where, and to where.
    sha256
        The sum that the file must have, in hexadecimal digits.
    patience
        How often and how long to try.

    Raises
    ------
    InputError
        Where the server cannot be reached, or sends another file.
    """
    return _Job(url, path, sha256, patience, threading.Event()).run()


@dataclasses.dataclass(frozen=True)
class _Job:
    """One file to fetch."""

    url: str
    path: Path
    expected: str
    patience: Patience
    stop: threading.Event

    def run(self) -> bool:
        """Bring the file to its place; return whether it had to be fetched."""
        part = self.path.with_name(self.path.name + ".part")
        with _disk(self.path):
            if self.path.is_file() and _sum_of(self.path) == self.expected:
                return False
            self.path.parent.mkdir(parents=True, exist_ok=True)
        if self._fetch(part) != self.expected:
            # What was continued may stem from another version of the file: begin anew, once.
            logger.warning("%s: its sum is wrong; fetched once more from the beginning", self.url)
            part.unlink()
            found = self._fetch(part)
            if found != self.expected:
                part.unlink()
                raise InputError(
                    f"{self.url}: the file's SHA-256 sum is {found}, expected {self.expected}. It "
                    "was changed on its way or at its source; run again, or use another server "
                    "(--url)."
                )
        with _disk(self.path):
            with open(part, "rb+") as written:
                os.fsync(written.fileno())
            os.replace(part, self.path)
        return True

    def _fetch(self, part: Path) -> str:
        self._complete(part)
        with _disk(part):
            return _sum_of(part)

    def _complete(self, part: Path) -> None:
        """Append to `part` until the server has no more; retry after what may pass."""
        idle = furthest = 0
        while True:
            if self.stop.is_set():
                raise _StoppedError
            before = part.stat().st_size if part.exists() else 0
            try:
                if self._append(part, before):
                    return
                reason = "the connection broke off"
            except Exception as error:
                reason = _reason_to_retry(error, self.url)
            size = part.stat().st_size if part.exists() else 0
            # Against the furthest, not the last try: a server without ranges begins anew.
            idle = 0 if size > max(before, furthest) else idle + 1
            furthest = max(furthest, size)
            if idle >= self.patience.attempts:
                raise InputError(
                    f"{self.url}: given up after {idle} attempts in a row without a byte "
                    f"({reason}). Run again to go on from here; {size} bytes are kept."
                )
            logger.warning("%s: %s after %d bytes; trying again", self.url, reason, size)
            self.stop.wait(_pause(idle, self.patience))

    def _append(self, part: Path, begin: int) -> bool:
        """Fetch from byte `begin` on; return whether the server sent all that it announced."""
        request = urllib.request.Request(self.url)
        if begin:
            request.add_header("Range", f"bytes={begin}-")
        try:
            response = urllib.request.urlopen(request, timeout=self.patience.timeout_s)
        except urllib.error.HTTPError as error:
            if error.code == 416 and begin:
                # Nothing lies behind this byte: the part is whole, or longer than the file.
                return True
            raise
        with response:
            sent = response.headers.get("Content-Range", "")
            goes_on = response.status == 206 and sent.startswith(f"bytes {begin}-")
            announced = response.headers.get("Content-Length")
            received = 0
            with _disk(part):
                file = open(part, "ab" if goes_on else "wb")  # noqa: SIM115
            with file:
                while block := response.read(_BLOCK_BYTES):
                    with _disk(part):
                        file.write(block)
                        file.flush()
                    received += len(block)
                    if self.stop.is_set():
                        raise _StoppedError
            return announced is None or received == int(announced)


class _StoppedError(Exception):
    """Another file met an error that concerns all of them."""


class _DiskError(InputError):
    """The disk, not the server, is in the way: no file can be expected to do better."""


@contextlib.contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _DiskError(
                f"{path}: no space left on the disk. Make room and run again; what was fetched is "
                "kept."
            ) from None
        raise _DiskError(f"{path}: cannot be written ({error.strerror}).") from None


def _run_all(jobs: list[_Job], parallel: int, stop: threading.Event) -> Downloaded:
    kept = fetched = 0
    errors: list[InputError] = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=parallel) as pool:
        futures = [pool.submit(job.run) for job in jobs]
        try:
            for number, future in enumerate(concurrent.futures.as_completed(futures), start=1):
                try:
                    if future.result():
                        fetched += 1
                    else:
                        kept += 1
                except _DiskError:
                    raise
                except InputError as error:
                    errors.append(error)
                if number % 100 == 0 or number == len(jobs):
                    logger.info("%d of %d files", number, len(jobs))
        except BaseException:
            stop.set()
            for future in futures:
                future.cancel()
            raise
    if errors:
        shown = "\n".join(str(error) for error in errors[:5])
        more = f"\n… and {len(errors) - 5} more." if len(errors) > 5 else ""
        raise InputError(
            f"{len(errors)} of {len(jobs)} files could not be fetched; the other "
            f"{len(jobs) - len(errors)} are in place.\n{shown}{more}"
        )
    return Downloaded(kept=kept, fetched=fetched)


def _reason_to_retry(error: Exception, url: str) -> str:
    """Say what went wrong on the way, or raise where trying again is of no use."""
    if isinstance(error, urllib.error.HTTPError):
        if error.code == 429 or error.code >= 500:
            return f"the server answers {error.code} {error.reason}"
        raise InputError(
            f"{url}: the server answers {error.code} {error.reason}. Check the address, or name "
            "another server by --url."
        ) from None
    # Errors of the disk have been told apart before; what is left of OSError is the network's.
    if isinstance(error, (http.client.HTTPException, OSError)):
        return str(error) or type(error).__name__
    raise error


def _pause(failures: int, patience: Patience) -> float:
    """Seconds to wait: doubled each time, and scattered so that files don't return together."""
    longest = min(patience.pause_s * 2 ** max(failures - 1, 0), _LONGEST_PAUSE_S)
    return longest * random.uniform(0.5, 1.0)


def _sum_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
