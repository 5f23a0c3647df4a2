"""JSON that people type into a form."""

from __future__ import annotations

from typing import Any

from django import forms
from django.forms.fields import InvalidJSONInput

from jobs.storable import told, unstorable


class TypedJson(forms.JSONField):
    """JSON as the databases can keep it; what is none is a mistake of the field, and is shown again as it was typed."""

    def to_python(self, value: Any) -> Any:
        try:
            parsed = super().to_python(value)
            wrong = dict(unstorable(parsed))
        except (ValueError, RecursionError):
            raise forms.ValidationError("This is nested too deeply, or has a number that is too large.") from None
        if wrong:
            raise forms.ValidationError(told("it", wrong))
        return parsed

    def bound_data(self, data: Any, initial: Any) -> Any:
        try:
            self.to_python(data)
        except forms.ValidationError:
            return InvalidJSONInput(data)
        return super().bound_data(data, initial)
