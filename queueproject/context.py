"""What every page's frame needs to know."""

from collections.abc import Callable

from django.http import HttpRequest

from jobs.registry import scope_kinds


def site(request: HttpRequest) -> dict[str, Callable[[], bool]]:
    """``decides``: whether there is anything this user may decide on; asked only where a page shows it."""

    def decides() -> bool:
        return any(rules.decidable(request.user).exists() for rules in scope_kinds().values())

    return {"decides": decides}
