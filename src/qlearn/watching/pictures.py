"""Pixels as text: WebP where Pillow is installed, else PNG by the standard library."""

from __future__ import annotations

import base64
import io
import struct
import zlib

import numpy as np


def encoded(pixels: np.ndarray) -> str:
    """(height, width, 3) of uint8 as base64."""
    return base64.b64encode(_bytes(np.ascontiguousarray(pixels))).decode("ascii")


def _bytes(pixels: np.ndarray) -> bytes:
    try:
        from PIL import Image, features
    except ImportError:
        return png(pixels)
    if not features.check("webp"):
        return png(pixels)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=88, method=1)
    return buffer.getvalue()


def png(pixels: np.ndarray) -> bytes:
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # each begins with its filter, none
    rows[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, data)
        for kind, data in (
            (b"IHDR", header),
            (b"IDAT", zlib.compress(rows.tobytes(), 3)),
            (b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
