"""How an answer can fail to come, by code. All but the permanent ones are tried again after a backoff.

``refused``           permanent: the model, or its provider's filter, will not answer this
``llm_bad_request``   permanent: the provider rejects the request as it is
``llm_unauthorized``  permanent: the provider rejects LLM_API_KEY
``llm_forbidden``     permanent: the key may not use this model
``llm_not_found``     permanent: no such model or address
``llm_busy``          too many requests; after the provider's ``Retry-After`` when it gives one
``llm_failed``        the provider failed
``llm_unreachable``   no connection to the provider
``llm_timeout``       no whole answer within LLM_TIMEOUT_SECONDS
``cut_off``           the answer ended in the middle
``empty_answer``      nothing that can be read as a narration
``too_long``          more than LLM_CHARACTERS, or than a job's result can hold
"""

from jobs.errors import HandlerError


class GenerationError(HandlerError):
    """The provider gave no usable answer this time; another attempt may get one."""
