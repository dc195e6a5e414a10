"""The fonts of a print: those that Debian's packages bring, where they are installed, and what the library brings for the rest.

A print has in it what it uses of them: the fonts that every reader of PDF has know Western Europe only.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import reportlab
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

_OURS = Path(reportlab.__file__).parent / "fonts"
_DEBIAN = Path("/usr/share/fonts/truetype")
_CHAIN = (
    # Europe whole, Greek and Cyrillic among it (fonts-dejavu-core).
    (_DEBIAN / "dejavu/DejaVuSans.ttf", _DEBIAN / "dejavu/DejaVuSans-Bold.ttf"),
    # Western Europe, in the same shapes: it comes with the library.
    (_OURS / "Vera.ttf", _OURS / "VeraBd.ttf"),
    # Chinese and Japanese (fonts-droid-fallback), which has no bold; Korean (fonts-nanum).
    (_DEBIAN / "droid/DroidSansFallbackFull.ttf", _DEBIAN / "droid/DroidSansFallbackFull.ttf"),
    (_DEBIAN / "nanum/NanumGothic.ttf", _DEBIAN / "nanum/NanumGothicBold.ttf"),
)
_RIGHT_TO_LEFT = ("R", "AL")


@dataclass(frozen=True)
class Font:
    """A font in a file, which is read when it is used first."""

    path: Path

    @property
    def name(self) -> str:
        """Return what the library knows it by."""
        return f"Everleaf-{self.path.stem}"

    @cached_property
    def known(self) -> frozenset[int]:
        """Return the characters that it has, once the library knows it."""
        pdfmetrics.registerFont(TTFont(self.name, str(self.path)))
        font: Any = pdfmetrics.getFont(self.name)  # one of our own: it has a face
        return frozenset(font.face.charToGlyph)


@cache
def fonts(*, is_bold: bool = False) -> Sequence[Font]:
    """Return the fonts that are there, the one that is used wherever it can be first."""
    return [Font(pair[is_bold]) for pair in _CHAIN if pair[is_bold].is_file()]


def runs(text: str, *, is_bold: bool = False) -> Iterator[tuple[Font, str]]:
    """Return a text piece by piece, each with the font it is written in.

    A character that no font has, or that is written from right to left, which the library cannot, is shown as its number.
    """
    first = fonts(is_bold=is_bold)[0]
    chosen = [(_font_of(each, is_bold=is_bold), each) for each in text]
    shown = [(font or first, each if font else f"\\u{ord(each):04x}") for font, each in chosen]
    for font, some in groupby(shown, key=lambda pair: pair[0]):
        yield font, "".join(each for _, each in some)


def is_whole(text: str) -> bool:
    """Return whether every character of a text can be shown."""
    return all(_font_of(each, is_bold=False) is not None for each in text)


def _font_of(character: str, *, is_bold: bool) -> Font | None:
    if unicodedata.bidirectional(character) in _RIGHT_TO_LEFT:
        return None
    return next((font for font in fonts(is_bold=is_bold) if ord(character) in font.known), None)
