"""One question for every right: ``may(user, action, on)``. Rooms answer it for their own classes."""

from collections.abc import Callable

from django.contrib.auth.models import AnonymousUser, User

Rule = Callable[[User, str, object], bool]

_rules: dict[type, Rule] = {}


def register(model_class: type, rule: Rule) -> None:
    """``rule`` answers for objects of this class and its subclasses."""
    _rules[model_class] = rule


def may(user: User | AnonymousUser, action: str, on: object) -> bool:
    """Whether ``user`` may do ``action`` to ``on``. Nobody's business is nobody's right: no rule means no."""
    if isinstance(user, AnonymousUser) or not user.is_active:
        return False
    rule = next((_rules[kind] for kind in type(on).__mro__ if kind in _rules), None)
    return rule is not None and rule(user, action, on)
