"""Answers that were made as JSON already, once for the caller and for whoever asks again."""

from fastapi import Response
from pydantic import BaseModel

from outbound.services.idempotency import Answer


def given(answer: Answer) -> Response:
    """The answer; one that was given before says so."""
    headers = {"Idempotent-Replayed": "true"} if answer.replayed else None
    return Response(answer.body, answer.status, headers, media_type="application/json")


def told(model: BaseModel) -> Response:
    """What was read, as JSON."""
    return Response(model.model_dump_json(), media_type="application/json")
