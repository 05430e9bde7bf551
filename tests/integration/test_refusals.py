"""What a person sees who may not do something: a page of the engine's own, for any screen."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

pytestmark = pytest.mark.django_db


def test_who_may_not_is_told_so_on_a_page_of_the_engine() -> None:
    person = User.objects.create_user("somebody", password="x" * 20, is_staff=True)
    client = Client()
    client.force_login(person)
    answer = client.get("/admin/auth/user/")
    assert answer.status_code == 403
    page = answer.content.decode()
    assert "somebody may not do this" in page and 'name="viewport"' in page


def test_a_form_without_its_token_is_told_so_on_a_page_of_the_engine() -> None:
    answer = Client(enforce_csrf_checks=True).post("/login", {"username": "a", "password": "b"})
    assert answer.status_code == 403
    page = answer.content.decode()
    assert "not accepted" in page and 'name="viewport"' in page
