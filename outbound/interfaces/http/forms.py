"""Reading a page's form, urlencoded or multipart, within bounds."""

from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import FormData

from outbound.interfaces.http.groups import KILOBYTE

_FIELDS = 100


async def _form(request: Request) -> FormData:
    return await request.form(max_files=0, max_fields=_FIELDS, max_part_size=16 * KILOBYTE)


Form = Annotated[FormData, Depends(_form)]


def text(form: FormData, name: str, *, most: int = 40) -> str:
    """A field as text, cut; "" where it is missing."""
    value = form.get(name, "")
    return value.strip()[:most] if isinstance(value, str) else ""
