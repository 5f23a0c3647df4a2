"""What can be asked of this room."""

from generation.drafts import Draft
from generation.prompts import Prompt
from jobs.registry import JobType

LLM_REASON = JobType(
    name="llm_reason",
    queue="llm",
    payload=Prompt,
    result=Draft,
    handler="generation.handlers.llm_reason:run",
    started_event="llm.processing",
    internal=True,
)
