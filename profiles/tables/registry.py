"""The forms of table that people post, by name."""

from __future__ import annotations

from collections.abc import Mapping

from rocmoe.ops.core.errors import unknown
from rocmoe.profiles.artifact import Artifact
from rocmoe.profiles.tables import aiter, flydsl, fused, sampling, sglang
from rocmoe.profiles.tables.form import Form
from rocmoe.profiles.tables.table import Table

FORMS: Mapping[str, Form] = {
    form.name: form for form in (sglang.FORM, fused.FORM, flydsl.FORM, aiter.FORM, sampling.FORM)
}


def render_form(name: str, artifact: Artifact, *, published: bool = False) -> list[Table]:
    """An artifact in a form, with published figures beside it or not.

    Raises `RocmoeError` for an unknown form, and for an artifact without what the form shows.
    """
    if name not in FORMS:
        raise unknown("table", name, FORMS)
    return FORMS[name].render(artifact, published)
