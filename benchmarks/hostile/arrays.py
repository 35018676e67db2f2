"""npz, npy, IDX, HDF5 and safetensors: arrays whose headers lie about type, shape or size."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import random
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hostile import damage

Array = npt.NDArray[Any]
#: Types in the header of an npy file, wrong ones among them.
TYPES = (
    "|u1", "<u2", ">u2", "<f2", "<f4", "<f8", ">f8", "<i8", "|i1", "|b1", "<c16", "|O", "<U5",
    "|S3",
    "|V8", "<M8[s]", "x", "", "<u99", "<f16", "|u0", "[('a', '<f4')]", "<U999999999",
)  # fmt: skip
SHAPES = (
    "()", "(0,)", "(1,)", "(24, 32, 32, 3)", "(24, 32, 32)", "(24, 3072)", "(24, 3, 32, 32)",
    "(-1, 32, 32, 3)", "(1000000, 32, 32, 3)", "(4294967296, 4294967296, 3)", "(24, 0, 0, 3)",
    "(24, 1, 1, 3)", "(24, 9223372036854775807)", "(99999999999999999999999,)", "24", "(24.0,)",
    "None", "(24, 32, 32, 3, 1)", "(24, 60000, 60000, 3)", "[24, 32, 32, 3]", "('a',)",
)  # fmt: skip


def npy(values: Array, *, header: str | None = None, version: bytes = b"\1\0") -> bytes:
    """An npy file; header: in place of the right one."""
    if header is None:
        stream = io.BytesIO()
        np.lib.format.write_array(stream, values, allow_pickle=True)
        return stream.getvalue()
    text = header.encode("latin-1", "replace") + b"\n"
    size = struct.pack("<H", min(len(text), 65_535)) if version == b"\1\0" else struct.pack(
        "<I", len(text)
    )  # fmt: skip
    return b"\x93NUMPY" + version + size + text + values.tobytes()


def hostile_npy(rng: random.Random, values: Array) -> tuple[bytes, str]:
    """An npy file of these values with a lie in its header, other values, or damaged bytes."""
    draw = rng.randrange(8)
    if draw < 3:
        kind = rng.choice(TYPES) if rng.random() < 0.5 else values.dtype.str
        shape = rng.choice(SHAPES) if rng.random() < 0.7 else str(values.shape)
        order = rng.choice(("False", "False", "False", "True", "'no'", "1"))
        text = f"{{'descr': {kind!r}, 'fortran_order': {order}, 'shape': {shape}, }}"
        version = rng.choice((b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\xff\0"))
        return npy(values, header=text, version=version), text[:100]
    if draw == 3:
        text = rng.choice(
            ("", "{}", "{'a': 1}", "__import__('os')", "[" * 500, "{'descr': '|u1'}", "1",
                                                         "\0" * 64,
             "(" * 90 + ")" * 90, " " * 60_000, "{'descr': '|u1', 'descr': '<f8'}", "x" * 12_000)
        )  # fmt: skip
        return npy(values, header=text), f"header {text[:30]!r}"
    if draw == 4:
        kind = rng.choice((object, "f4", "f8", "f2", "i8", "u2", "?", "U3", "S2", "c8"))
        other = values.astype(kind)
        if other.dtype.kind in "fc" and other.size:
            flat = other.reshape(-1)
            flat[rng.randrange(flat.size)] = rng.choice((np.nan, np.inf, -np.inf, 6e4, -1))
        return npy(other), f"of type {other.dtype}"
    if draw == 5:
        shapes = [values[:0], values[..., None], values.reshape(-1), values[:1], values.T,
                  np.asarray(values.reshape(-1)[:1][0]), np.concatenate([values,
                                                                         values])]  # fmt: skip
        other = rng.choice(shapes)
        return npy(np.asarray(other)), f"of shape {list(other.shape)}"
    if draw == 6:
        return pickle.dumps({"a": [1, 2]}), "a pickle"
    return damage.bytes_of(rng, npy(values))


def _images(rng: random.Random, count: int = 24) -> tuple[Array, Array]:
    draw = np.random.default_rng(rng.randrange(2**32))
    labels = np.arange(count, dtype=np.uint8) % 2
    images = draw.integers(60, 200, (count, 32, 32, 3), dtype=np.uint8)
    images[labels == 1, ..., 1] //= 2
    return images, labels


def hostile_npz(rng: random.Random) -> tuple[bytes, str]:
    """An npz of MedMNIST's kind with one array damaged, or names, or the zip itself."""
    parts: dict[str, bytes] = {}
    arrays: dict[str, Array] = {}
    for part in ("train", "val", "test"):
        images, labels = _images(rng, 8)
        arrays |= {f"{part}_images": images, f"{part}_labels": labels[:, None]}
    parts = {f"{name}.npy": npy(values) for name, values in arrays.items()}
    name = rng.choice(list(parts))
    draw, words = rng.random(), ""
    if draw < 0.6:
        parts[name], words = hostile_npy(rng, arrays[name.removesuffix(".npy")])
    elif draw < 0.7:
        new = rng.choice(("", "x", "../x.npy", "train_images", "a\0b.npy", "labels.npy", "é.npy"))
        parts[new] = parts.pop(name) if rng.random() < 0.7 else parts[name]
        words = f"now {new!r}"
    elif draw < 0.78:
        del parts[name]
        words = "taken out"
    elif draw < 0.84:
        parts[name], words = npy(np.zeros((8, 2048, 2048, 3), np.uint8)), "96 MB of zeros"
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")
        for each, data in parts.items():
            archive.writestr(each or "-", data)
            if words == "" and each == name and draw < 0.9:
                archive.writestr(each, data)
    if words or draw < 0.9:
        return stream.getvalue(), f"{name}: {words or 'twice'}"
    return damage.bytes_of(rng, stream.getvalue())


def hostile_idx(rng: random.Random, folder: Path) -> str:
    """A folder of IDX files, images and labels of two parts, one of them damaged."""
    files: dict[str, bytes] = {}
    for part in ("train", "t10k"):
        images, labels = _images(rng)
        gray = images[..., 0]
        files[f"{part}-images-idx3-ubyte"] = _idx(gray)
        files[f"{part}-labels-idx1-ubyte"] = _idx(labels)
    name = rng.choice(list(files))
    draw = rng.random()
    if draw < 0.6:
        data = bytearray(files[name])
        if rng.random() < 0.4:
            data[rng.randrange(4)] = rng.choice((0, 1, 2, 3, 4, 8, 9, 0x0B, 0x0D, 0x0E, 255))
        else:
            at = 4 + 4 * rng.randrange(data[3])
            data[at : at + 4] = struct.pack(">I", rng.choice((*damage.NUMBERS, 23, 25, 60_000)))
        files[name], words = bytes(data), "header"
    elif draw < 0.8:
        files[name], words = damage.bytes_of(rng, files[name])
    elif draw < 0.9:
        new = rng.choice(("x-idx3-ubyte", name.replace("images", "imgs"), "t10k-labels-idx1-ubyte"))
        files[new], words = files.pop(name), f"now {new}"
    else:
        del files[name]
        words = "missing"
    for each, data in files.items():
        if rng.random() < 0.4:
            packed = gzip.compress(data)
            if each == name and rng.random() < 0.4:
                packed = damage.bytes_of(rng, packed)[0]
            (folder / f"{each}.gz").write_bytes(packed)
        else:
            (folder / each).write_bytes(data)
    return f"{name}: {words}"


def _idx(values: Array) -> bytes:
    axes = b"".join(struct.pack(">I", side) for side in values.shape)
    return bytes((0, 0, 8, values.ndim)) + axes + values.tobytes()


def hostile_hdf5(rng: random.Random, folder: Path) -> tuple[str, str]:
    """(name of the file to pack, what was done); PatchCamelyon's pair or one file with both."""
    import h5py

    images, labels = _images(rng)
    lie = rng.randrange(12)
    words = "as it should be"
    together = rng.random() < 0.5
    first = folder / ("all.h5" if together else "train_x.h5")
    second = first if together else folder / "train_y.h5"
    x, y = ("images", "labels") if together else ("x", "y")
    with h5py.File(first, "w") as file:
        if lie == 0:
            shape = rng.choice(((10**9, 32, 32, 3), (24, 10**6, 10**6, 3), (2**40,), (24, 0, 0, 3)))
            file.create_dataset(x, shape, "u1", chunks=all(shape) or None)
            words = f"declares {shape}"
        elif lie == 1:
            kind = rng.choice(("f4", "i8", "S4", "f2", "c8", "?", "u4", "V3"))
            file.create_dataset(x, (24, 32, 32, 3), kind)
            words = f"of type {kind}"
        elif lie == 2:
            target = rng.choice(("/nowhere", x, "/", "/dev/zero"))
            file[x] = rng.choice((h5py.SoftLink(target), h5py.ExternalLink(target, x)))
            words = f"a link to {target}"
        elif lie == 3:
            file.create_group(x).create_group(y)
            words = "a group"
        elif lie == 4:
            file.create_dataset(x, data=images, chunks=(1, 32, 32, 3), compression="gzip")
            words = "compressed"
        elif lie == 5:
            values = images.astype("f4")
            values[rng.randrange(24)] = rng.choice((np.nan, np.inf, -1e30))
            file.create_dataset(x, data=values / 255)
            words = "numbers that are none"
        elif lie == 6:
            file.create_dataset(x, data=images.reshape(24, -1))
            words = "flat"
        elif lie == 7:
            file.create_dataset(x, data=np.array([b"a", b"bc"] * 12, dtype=h5py.string_dtype()))
            words = "texts"
        else:
            file.create_dataset(x, data=images)
        for name in rng.sample(("é", "a b", "x1", "\x01", "[x]"), rng.choice((0, 0, 2))):
            file.create_dataset(name, data=rng.choice((1, "x", [1.0, 2.0])))
    if rng.random() < 0.9:
        with h5py.File(second, "a") as file:
            strange = (labels, labels, labels, labels[:20], labels.astype("f8") + 0.5,
                       labels.reshape(24, 1, 1, 1), labels.astype("S1"), labels.astype("i8") - 5,
                       labels.astype("f4") * np.nan, np.zeros((24, 24)),
                       labels.astype("i8") * 2**40)  # fmt: skip
            values = rng.choice(strange) if lie > 5 else labels
            file.create_dataset(y, data=values)
            words += f"; labels {values.dtype} {list(values.shape)}"
    if lie in (4, 8, 9, 10):
        place = rng.choice((first, second))
        if place.exists():
            data, done = damage.bytes_of(rng, place.read_bytes())
            place.write_bytes(data)
            words += f"; {done}"
    if rng.random() < 0.2:
        data = gzip.compress(first.read_bytes())
        first.unlink()
        first = first.with_name(first.name + ".gz")
        first.write_bytes(damage.bytes_of(rng, data)[0] if rng.random() < 0.5 else data)
        words += "; packed"
    return first.name, words


def hostile_safetensors(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    """Weights with a lie in the header, other numbers, or damaged bytes."""
    size = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    draw = rng.random()
    if draw < 0.2:
        return damage.bytes_of(rng, data)
    if draw < 0.3:
        lie = rng.choice((0, 1, size - 1, size + 1, len(data), 2**31, 2**63, 2**64 - 1))
        return struct.pack("<Q", lie) + data[8:], f"a header of {lie} bytes"
    if draw < 0.55:
        name = rng.choice([key for key in header if key != "__metadata__"])
        entry = header[name]
        done = rng.randrange(6)
        if done == 0:
            entry["dtype"] = rng.choice(
                ("F64", "F16", "BF16", "I8", "BOOL", "X", "", 3, None, "F8_E5M2")
            )
        elif done == 1:
            entry["shape"] = rng.choice(
                ([], [0], [-1], [2**40, 2**40], [1.5], None, entry["shape"][::-1])
            )
        elif done == 2:
            entry["data_offsets"] = rng.choice(
                ([0, 0], [0, 2**63], [9, 3], [-4, 0], [0, len(body)], "x")
            )
        elif done == 3:
            header[rng.choice(("x", "", f"{name}.a", "__metadata__"))] = header.pop(name)
        elif done == 4:
            del header[name]
        else:
            count = (entry["data_offsets"][1] - entry["data_offsets"][0]) // 4
            entry["shape"] = [count]
        return _safetensors(header, body), f"{name[:30]}: entry changed"
    if draw < 0.75:
        values = np.frombuffer(body[: len(body) // 4 * 4], "<f4").copy()
        bad = rng.choice((np.nan, np.inf, -np.inf, 3e38, 0.0))
        if rng.random() < 0.5:
            values[rng.randrange(values.size)] = bad
        else:
            values[:] = bad
        return data[: 8 + size] + values.tobytes(), f"numbers are {bad}"
    text, words = damage.json_of(rng, json.dumps(header))
    return struct.pack("<Q", len(text)) + text + body, f"header: {words}"


def _safetensors(header: dict[str, Any], body: bytes) -> bytes:
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body
