"""The frame of every page: headers, error pages, navigation; and sockets at no address."""

import json

import pytest
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.test import Client

from accounts import tokens
from accounts.threads import in_thread
from queueproject.asgi import application

pytestmark = [pytest.mark.fast, pytest.mark.django_db]

PAGES = ["/sign-in/", "/", "/v1/docs", "/admin/login/", "/nothing/here/"]


@pytest.mark.parametrize("page", PAGES)
def test_no_page_lets_anything_foreign_or_inline_in(page: str) -> None:
    response = Client().get(page)
    policy = dict(part.strip().split(" ", 1) for part in response["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in response["Content-Security-Policy"]
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Referrer-Policy"] == "same-origin"


def test_a_page_that_is_not_there_says_so_in_the_site_s_frame() -> None:
    response = Client().get("/nothing/here/")
    assert response.status_code == 404
    assert "There is nothing here" in response.content.decode()
    assert "Skip to content" in response.content.decode()


def test_a_form_without_its_token_is_told_to_reload() -> None:
    response = Client(enforce_csrf_checks=True).post("/sign-in/", {"username": "ada", "password": "x"})
    assert response.status_code == 403
    assert "This page is too old" in response.content.decode()


def test_an_unknown_host_is_refused() -> None:
    assert Client().get("/", headers={"Host": "evil.example"}).status_code == 400


def test_signing_in_never_leads_to_a_foreign_site() -> None:
    User.objects.create_user("ada", password="correct horse battery")
    form = {"username": "ada", "password": "correct horse battery", "next": "//evil.example/"}
    assert Client().post("/sign-in/", form)["Location"] == "/"


def test_signing_out_takes_a_post() -> None:
    client = Client()
    client.force_login(User.objects.create_user("ada"))
    assert client.get("/sign-out/").status_code == 405
    assert client.post("/sign-out/")["Location"] == "/"
    assert "Sign in" in client.get("/").content.decode()


def test_admin_is_offered_to_staff_only() -> None:
    client = Client()
    ada = User.objects.create_user("ada")
    client.force_login(ada)
    assert 'href="/admin/"' not in client.get("/").content.decode()
    User.objects.update(is_staff=True)
    assert 'href="/admin/"' in client.get("/").content.decode()


@pytest.mark.django_db(transaction=True)
async def test_a_socket_at_no_address_is_told_and_closed() -> None:
    def bearer() -> str:
        return f"Bearer {tokens.issue(User.objects.create_user('ada'), 'test', ['read'])[1]}"

    headers = [(b"authorization", (await in_thread(bearer)).encode())]
    socket = WebsocketCommunicator(application, "/ws/nothing/", headers=headers)
    assert (await socket.connect())[0]
    assert json.loads(await socket.receive_from())["code"] == "not_found"
    assert await socket.receive_output() == {"type": "websocket.close", "code": 4404}
