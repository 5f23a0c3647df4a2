"""Pages opened by people, each with a browser of their own. What a browser complains of fails the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.test import Client
from playwright.sync_api import Page

from tests.browser.complaints import Complaints
from tests.browser.people import PASSWORD, Enter
from tests.processes import Stack

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from tests.cast import Cast


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    heard = Complaints()
    yield heard
    assert not heard.left()


@pytest.fixture(scope="session")
def password_hash() -> str:
    return make_password(PASSWORD)


@pytest.fixture
def cast(transactional_db: None, password_hash: str) -> Cast:
    """The fixed cast, who can sign in: everybody's password is ``people.PASSWORD``."""
    from tests.cast import assemble  # Models can't be imported before Django is set up, and conftest is.

    people = assemble()
    type(people.dm).objects.update(password=password_hash)
    return people


@pytest.fixture
def visit(new_page: Callable[..., Page], complaints: Complaints, cast: Cast) -> Enter:
    """Opens a browser of somebody who has not signed in."""

    def open_browser(**options: Any) -> Page:
        page = new_page(**options)
        complaints.listen(page)
        return page

    return open_browser


@pytest.fixture
def enter(visit: Enter, stack: Stack) -> Enter:
    """Opens a browser in which this user has signed in."""

    def open_browser(user: User, **options: Any) -> Page:
        user.refresh_from_db()  # Its password, of which the session keeps a hash, was set behind its back.
        session = Client()
        session.force_login(user)
        page = visit(**options)
        value = session.cookies[settings.SESSION_COOKIE_NAME].value
        page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": stack.base_url}])
        return page

    return open_browser
