"""The providers by name. One is imported when it is asked for: their clients weigh tens of megabytes."""

from __future__ import annotations

from django.conf import settings
from django.utils.module_loading import import_string

from generation.providers.base import Provider

PROVIDERS = {
    "openai_compatible": "generation.providers.openai_compatible.OpenAICompatible",
    "scripted": "generation.providers.scripted.Scripted",
}


def provider() -> Provider:
    """The provider that LLM_PROVIDER names."""
    chosen: type[Provider] = import_string(PROVIDERS[settings.CONFIG.llm_provider])
    return chosen()
