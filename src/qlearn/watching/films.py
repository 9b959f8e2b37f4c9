"""Clips as films: GIF by Pillow, MP4 (H.264) by PyAV."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from qlearn.errors import UserError, missing_extra
from qlearn.runs.files import write_bytes
from qlearn.watching.clip import Clip
from qlearn.watching.paint import frames_of

GIF_FASTEST = 25.0  # frames a second; viewers slow down what is much faster
MP4_FASTEST = 60.0
COLOURS = 64  # of a GIF; of one whose frames are pictures, all there are
SAMPLES = 8  # frames by which the colours of all are chosen
NEXT = 6  # steps of 255 between two colours of a palette
REST = 1.2  # seconds for which the end stands still
MP4_SCALE = 2.0
QUALITY = "20"  # H.264's constant rate factor


def write_film(clip: Clip, path: Path, fps: float | None = None, dark: bool = False) -> int:
    """GIF or MP4 by the file's name; how many frames were written."""
    write = {".gif": gif, ".mp4": mp4}.get(path.suffix.lower())
    if write is None:
        raise UserError(f"a film is a .gif or an .mp4, not '{path.name}'")
    data, frames = write(clip.content, fps, dark)
    write_bytes(path, data)
    return frames


def insist(kind: str) -> None:
    """Whether what a film needs is installed; asked before a game is played."""
    from importlib.util import find_spec

    for module, what in (("PIL", "Pillow"), ("av", "PyAV")):
        if find_spec(module) is None and (module == "PIL" or kind == "mp4"):
            raise missing_extra(what, "watch")


def notes(clip: Clip, kind: str, fps: float | None) -> list[str]:
    """What of the game the film leaves out."""
    fastest = GIF_FASTEST if kind == "gif" else MP4_FASTEST
    which, _ = chosen_frames(clip.content, fps or clip["fps"], fastest)
    every = clip["every"] * (which[1] - which[0] if len(which) > 1 else 1)
    said = [f"one step in {every} is shown"] if every > 1 else []
    return said + ([f"cut off after {clip['steps']:,} steps"] if clip["cut_off"] else [])


def chosen_frames(
    content: Mapping[str, Any], fps: float, fastest: float
) -> tuple[list[int], float]:
    """The frames to show and how many a second: all of them where that is not too fast."""
    count = len(content["frames"])
    skip = max(1, -(-int(fps * 100) // int(fastest * 100)))
    which = list(range(0, count, skip))
    if which[-1] != count - 1:
        which.append(count - 1)  # the end is what one waits for
    return which, fps / skip


def gif(content: Mapping[str, Any], fps: float | None, dark: bool) -> tuple[bytes, int]:
    """One palette for all frames, so that only what moves takes room."""
    which, speed = chosen_frames(content, fps or content["fps"], GIF_FASTEST)
    painted = _is_painted(content)
    palette = _palette(content, which, dark, 256 if painted else COLOURS)
    frames = [
        frame.quantize(palette=palette, dither=0) for frame in frames_of(content, which, dark)
    ]
    times = [10 * max(2, round(100 / speed))] * len(frames)  # in hundredths of a second, as GIFs do
    times[-1] = max(times[-1], round(1000 * REST))
    buffer = io.BytesIO()
    first, *rest = frames
    first.save(
        buffer, "GIF", save_all=True, append_images=rest, duration=times, loop=0, disposal=1,
        optimize=True,  # what stays as it was is transparent: a third of the bytes
    )  # fmt: skip
    return buffer.getvalue(), len(frames)


def _palette(content: Mapping[str, Any], which: list[int], dark: bool, colours: int) -> Any:
    """The colours of a few frames from all over the clip; those of areas as they are."""
    from PIL import Image

    places = {which[k * (len(which) - 1) // max(1, SAMPLES - 1)] for k in range(SAMPLES)}
    samples = list(frames_of(content, sorted(places), dark))
    width, height = samples[0].size
    strip = Image.new("RGB", (width, height * len(samples)))
    for k, sample in enumerate(samples):
        strip.paste(sample, (0, k * height))
    counted: list[Any] = sorted(strip.getcolors(width * height * len(samples)) or (), reverse=True)
    between = strip.quantize(colours, method=Image.Quantize.MEDIANCUT).getpalette() or []
    offered = [colour for _, colour in counted[: colours // 2]]
    offered += [tuple(between[k : k + 3]) for k in range(0, len(between), 3)]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for colour in _apart(offered, colours) for part in colour])
    return palette


def _apart(offered: list[tuple[int, ...]], most: int) -> list[tuple[int, ...]]:
    """Without colours next to earlier ones: Pillow looks up colours four steps coarse."""
    kept: list[tuple[int, ...]] = []
    for colour in offered:
        if len(kept) == most:
            break
        if all(
            max(abs(one - other) for one, other in zip(colour, each, strict=True)) > NEXT
            for each in kept
        ):
            kept.append(colour)
    return kept


def _is_painted(content: Mapping[str, Any]) -> bool:
    return any(shape["kind"] == "image" for shape in content["frames"][0]["scene"]["shapes"])


def mp4(content: Mapping[str, Any], fps: float | None, dark: bool) -> tuple[bytes, int]:
    """Twice as fine as a GIF; plays everywhere (yuv420p), begins before it is loaded."""
    insist("mp4")
    import av

    which, speed = chosen_frames(content, fps or content["fps"], MP4_FASTEST)
    which += [which[-1]] * round(REST * speed)
    with tempfile.TemporaryDirectory() as folder:  # the muxer comes back to the file's beginning
        draft = Path(folder) / "film.mp4"
        with av.open(str(draft), "w", options={"movflags": "faststart"}) as film:
            stream: Any = film.add_stream(
                "libx264",
                rate=Fraction(speed).limit_denominator(1000),
                options={"crf": QUALITY, "preset": "fast", "tune": "animation"},
            )
            stream.pix_fmt = "yuv420p"
            for k, image in enumerate(frames_of(content, which, dark, MP4_SCALE)):
                if k == 0:
                    stream.width, stream.height = image.size
                film.mux(stream.encode(av.VideoFrame.from_image(image)))
            film.mux(stream.encode(None))
        return draft.read_bytes(), len(which)
