"""Text that was decoded with the wrong encoding once (``SÃ¡nchez``): seen and said, never changed."""

from functools import cache
from typing import Any


def looks_odd(text: str) -> str:
    """What the text was probably meant to be, as a sentence; empty when it looks right."""
    badness, fix = _ftfy()
    if "\ufffd" in text:
        return "holds a replacement character: the file was decoded with the wrong encoding before"
    if not badness(text):
        return ""
    probable = fix(text)
    return "looks like wrongly decoded text" + (f", perhaps {probable!r}" if probable != text else "")


@cache
def _ftfy() -> tuple[Any, Any]:
    import ftfy  # noqa: PLC0415 - only where a text is not ASCII
    import ftfy.badness  # noqa: PLC0415 - likewise

    return ftfy.badness.is_bad, ftfy.fix_encoding
