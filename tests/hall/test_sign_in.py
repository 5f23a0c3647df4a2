"""Signing in and out, in a browser."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from tests.processes import Stack

pytestmark = pytest.mark.browser


def test_a_person_signs_in_by_keyboard_and_out_again(stack: Stack, new_page: Callable[..., Page]) -> None:
    User.objects.create_superuser("ada", password="correct horse battery")
    stack.start("web")
    page = new_page()
    page.goto("/sign-in/?next=/admin/")
    page.get_by_label("Username").fill("ada")
    page.keyboard.press("Tab")
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("correct username and password")
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("correct horse battery")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{stack.base_url}/admin/")
    assert [cookie["name"] for cookie in page.context.cookies() if cookie.get("httpOnly")] == ["sessionid"]
    page.goto("/sign-in/")
    expect(page).to_have_url(f"{stack.base_url}/")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_the_api_documentation_works_under_the_strict_policy(stack: Stack, new_page: Callable[..., Page]) -> None:
    stack.start("web")
    page = new_page()
    page.goto("/v1/docs")
    expect(page.locator(".swagger-ui .title")).to_contain_text("queueproject")
