"""What happens here that rooms above may want to know."""

from django.dispatch import Signal

decider_present = Signal()
"""Someone has the decision queue open: sent with ``user`` every ``presence_write_seconds``, outside transactions."""
