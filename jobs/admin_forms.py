"""What staff fill in to have a dead job run again."""

from __future__ import annotations

from typing import Any

from django import forms

from jobs.models import Job
from jobs.typed_json import TypedJson


class ReviveForm(forms.Form):
    """The job's payload, to be corrected if its fault was the cause."""

    payload = TypedJson(widget=forms.Textarea(attrs={"rows": 12, "cols": 80, "spellcheck": "false"}))

    @classmethod
    def of(cls, job: Job, data: Any = None) -> ReviveForm:
        """The form for this job, filled with what it has or what was sent."""
        return cls(data, initial={"payload": job.payload})

    def clean_payload(self) -> dict[str, Any]:
        payload = self.cleaned_data["payload"]
        if not isinstance(payload, dict):
            raise forms.ValidationError("A JSON object is needed.")
        return payload

    def edited(self, job: Job) -> dict[str, Any] | None:
        """The payload, if it is another one than the job's."""
        payload: dict[str, Any] = self.cleaned_data["payload"]
        return payload if payload != job.payload else None
