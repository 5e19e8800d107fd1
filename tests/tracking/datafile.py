"""A reader of W&B's local files, independent of the one that the laboratory uses."""

import json
import struct

from wandb.proto.wandb_internal_pb2 import Record

BLOCK = 32768
HEADER = struct.Struct("<IHB")  # checksum, length, type
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def chunks(data):
    """Yield the records of a LevelDB log behind W&B's own header; a cut tail is left out."""
    position, parts = 7, b""
    while position + HEADER.size <= len(data):
        left = BLOCK - position % BLOCK
        if left < HEADER.size:
            position += left
            continue
        _, length, kind = HEADER.unpack_from(data, position)
        chunk = data[position + HEADER.size :][:length]
        if kind not in (FULL, FIRST, MIDDLE, LAST) or len(chunk) < length:
            return
        position += HEADER.size + length
        parts = chunk if kind in (FULL, FIRST) else parts + chunk
        if kind in (FULL, LAST):
            yield parts


def items(pairs):
    return {pair.key or "/".join(pair.nested_key): json.loads(pair.value_json) for pair in pairs}


def records(folder):
    """The history rows, the summary, the run and the exit code of all attempts in a run folder."""
    history, summary, run, code = [], {}, None, None
    for file in sorted(folder.glob("wandb/*run-*/run-*.wandb")):
        for chunk in chunks(file.read_bytes()):
            record = Record.FromString(chunk)
            kind = record.WhichOneof("record_type")
            if kind == "history":
                history.append(items(record.history.item))
            elif kind == "summary":
                summary |= items(record.summary.update)
            elif kind == "run":
                run = record.run
            elif kind == "exit":
                code = record.exit.exit_code
    return history, summary, run, code
