"""Reads a text from disk: the collected Shakespeare of char-rnn, or anyone's own file."""

import hashlib
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from experiments.errors import UserError
from experiments.record.files import checksum, expanded, write_atomically

SHAKESPEARE = "tinyshakespeare/input.txt"
ADDRESS = f"https://raw.githubusercontent.com/karpathy/char-rnn/master/data/{SHAKESPEARE}"
SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
TIMEOUT = 30  # seconds without a byte after which a download is given up


def shakespeare_file(data_dir: str) -> Path:
    """Return ``<data_dir>/tinyshakespeare/input.txt``, downloaded if it is not there.

    Raises:
        UserError: It is not the text that everyone uses, or cannot be had.
    """
    file = expanded(data_dir) / SHAKESPEARE
    if not file.exists():
        _download(file)
    if checksum(file) != SHA256:
        raise UserError(
            f"{file} cannot be read or is not the text of {ADDRESS} (sha256 {SHA256[:12]}...); "
            f"remove it to download that, or read it as it is with task=text text_file={file}"
        )
    return file


def _download(file: Path) -> None:
    try:
        with urlopen(ADDRESS, timeout=TIMEOUT) as answer:
            content = answer.read()
    except (OSError, HTTPException) as error:
        raise UserError(
            f"no {file}, and downloading {ADDRESS} failed ({type(error).__name__}); put it there, "
            "set data_dir=PATH or DATA_DIR, or use a text of yours with task=text text_file=PATH"
        ) from error
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise UserError(f"what {ADDRESS} gave is not the text expected (sha256 {SHA256[:12]}...)")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, content)
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror}; set data_dir=PATH") from error


def read_text(file: Path) -> str:
    """Return the characters of a utf-8 file, its line ends as they are.

    Raises:
        UserError: The file cannot be read, or is not utf-8.
    """
    try:
        if file.exists() and not (file.is_file() or file.is_dir()):
            raise UserError(f"cannot read {file}: it is no regular file")
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{file} is not utf-8 text: {error.reason} at byte {error.start}; text in another "
            "encoding is converted with iconv -f ENCODING -t utf-8"
        ) from error
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from error
