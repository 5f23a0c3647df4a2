"""How requests run through the other middleware."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

View = Callable[[HttpRequest], HttpResponseBase]


def in_one_thread(get_response: View) -> View:
    """Innermost, and synchronous: so Django runs the whole chain in one thread.

    Otherwise each middleware changes thread twice, which takes longer than most of our views.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        return get_response(request)

    return middleware
