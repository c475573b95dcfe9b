"""Small files that claim, or unpack to, more than memory should be spent on."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zlib
from pathlib import Path

MIB = 2**20

Member = tuple[tarfile.TarInfo, bytes]
"""Of a tar file: a header, which need not fit, and its content."""


# ------------------------------------------------------------------------------------------- MNIST


def idx(*shape: int) -> bytes:
    """The header of an IDX file."""
    return bytes((0, 0, 8, len(shape))) + b"".join(struct.pack(">I", size) for size in shape)


def zeros(mebibytes: int) -> bytes:
    """Gzip data of so many MiB of zeros: a thousandth of it."""
    member = gzip.compress(bytes(16 * MIB), 9)
    return member * (mebibytes // 16)


def mnist(folder: Path, name: str, content: bytes) -> Path:
    """A set of two images a split, but for one file of another content."""
    folder.mkdir(exist_ok=True)
    for part in ("train", "t10k"):
        files = {
            f"{part}-images-idx3-ubyte": idx(2, 3, 3) + bytes(18),
            f"{part}-labels-idx1-ubyte": idx(2) + bytes(2),
        }
        for file, data in files.items():
            if file == name:
                (folder / f"{file}.gz").write_bytes(content)
            else:
                (folder / file).write_bytes(data)
    return folder


# ---------------------------------------------------------------------------------------- images


def png(width: int, height: int, *, bits: int = 8, colours: int = 0, chunks: bytes = b"") -> bytes:
    """A black PNG: ``colours`` is 0 for grey, 2 for RGB, 3 for a palette, 4 and 6 with alpha."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colours]
    row = bytes(1 + -(-width * channels * bits // 8))
    packer, packed = zlib.compressobj(9), []
    for _ in range(height):
        packed.append(packer.compress(row))
    packed.append(packer.flush())
    header = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(3)) + chunk(b"tRNS", bytes(1)) if colours == 3 else b""
    return b"".join(
        (b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), chunks, palette,
         chunk(b"IDAT", b"".join(packed)), chunk(b"IEND", b""))
    )  # fmt: skip


def chunk(name: bytes, data: bytes) -> bytes:
    check = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)


def texts(count: int) -> bytes:
    """Chunks of text that unpack to a MiB each."""
    packed = zlib.compress(bytes(MIB - 64), 9)
    return b"".join(chunk(b"zTXt", b"%d\0\0" % number + packed) for number in range(count))


def gif(width: int, height: int) -> bytes:
    """A GIF of a screen and a frame of a size, with hardly any data."""
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\x00;"
    return screen + frame


def bmp(width: int, height: int) -> bytes:
    """A BMP with run lengths, of one run."""
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 4, 0, 0, 256, 0)
    head = b"BM" + struct.pack("<IHHI", 14 + 40 + 1024 + 4, 0, 0, 14 + 40 + 1024)
    return head + info + bytes(1024) + b"\xff\x00\x00\x01"


def ppm(width: int, height: int) -> bytes:
    return b"P6 %d %d 255\n" % (width, height) + bytes(100)


def tiff(width: int, height: int) -> bytes:
    """A TIFF of one strip that is compressed as zip does it."""
    packer = zlib.compressobj(9)
    row = bytes(width)
    strip = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    entries = [
        (256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 8), (262, 3, 1),
        (273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, len(strip)),
    ]  # fmt: skip
    table = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries
    )
    return b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + table + bytes(4)


# ------------------------------------------------------------------------------------------ shards


def shard(path: Path, *members: Member) -> Path:
    """A tar file of members whose headers need not fit their content."""
    content = io.BytesIO()
    for info, data in members:
        content.write(info.tobuf(tarfile.GNU_FORMAT))
        content.write(data + bytes(-len(data) % 512))
    content.write(bytes(1024))
    path.write_bytes(content.getvalue())
    return path


def member(name: str, data: bytes, size: int | None = None) -> Member:
    info = tarfile.TarInfo(name)
    info.size = len(data) if size is None else size
    return info, data


def sparse(name: str, size: int) -> Member:
    """A sparse member of so many bytes, of which none is there."""
    info = tarfile.TarInfo(name)
    head = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    head[156:157] = b"S"
    head[386:398] = b"%011o\0" % size  # an empty piece at the end
    head[398:410] = b"%011o\0" % 0
    head[483:495] = b"%011o\0" % size
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)

    class Raw(tarfile.TarInfo):
        def tobuf(self, *_: object, **__: object) -> bytes:
            return bytes(head)

    return Raw(name), b""
