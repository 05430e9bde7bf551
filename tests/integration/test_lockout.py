"""Who guesses passwords is locked out, at either sign-in page, and nobody else is."""

from collections.abc import Iterator

import pytest
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client, RequestFactory

from accounts.lockout import client_address
from orders.ledger.statements import Connection

pytestmark = pytest.mark.filterwarnings("ignore:No directory at")
PAGES = ("/login", "/admin/login/")
ADDRESS = "192.0.2.7"


@pytest.fixture(autouse=True)
def people(database: Connection) -> Iterator[None]:
    AccessAttempt.objects.all().delete()
    for name in ("lock-admin", "lock-trader", "lock-other"):
        User.objects.create_user(name, password=f"right for {name}", is_staff=True)
    yield
    AccessAttempt.objects.all().delete()
    User.objects.filter(username__startswith="lock-").delete()


def tried(name: str, *, right: bool = False, page: str = "/login", address: str = ADDRESS, **headers: str) -> int:
    """302: signed in, 200: wrong, 429: locked."""
    client = Client(headers={"Host": "localhost", **headers}, REMOTE_ADDR=address)
    return client.post(page, {"username": name, "password": f"right for {name}" if right else "wrong"}).status_code


@pytest.mark.parametrize("page", PAGES)
def test_five_wrong_passwords_lock_the_name_from_this_address(page: str) -> None:
    answers = [tried("lock-admin", page=page) for _ in range(settings.AXES_FAILURE_LIMIT)]
    assert answers == [200] * (settings.AXES_FAILURE_LIMIT - 1) + [429]
    assert [tried("lock-admin", right=True, page=each) for each in PAGES] == [429, 429]
    assert tried("lock-admin", right=True, page=page, address="192.0.2.8") == 302  # Whoever it is, at their own desk.
    assert tried("lock-other", right=True, page=page) == 302  # A colleague behind the same address.


def test_one_s_own_sign_in_between_guesses_forgives_none_of_them() -> None:
    answers = []
    for _ in range(settings.AXES_FAILURE_LIMIT):
        answers.append(tried("lock-admin"))
        assert tried("lock-trader", right=True) == 302
    assert answers[-1] == 429 and tried("lock-admin", right=True) == 429


def test_one_s_own_success_forgives_one_s_own_mistakes() -> None:
    for _ in range(3):
        assert [tried("lock-trader") for _ in range(settings.AXES_FAILURE_LIMIT - 1)] == [200] * 4
        assert tried("lock-trader", right=True) == 302


def test_an_address_that_tries_many_names_is_locked_for_all_of_them() -> None:
    answers = [tried(f"lock-guess-{n}") for n in range(settings.LOCKOUT_FAILURES_OF_ADDRESS)]
    assert answers == [200] * (settings.LOCKOUT_FAILURES_OF_ADDRESS - 1) + [429]
    assert tried("lock-other", right=True) == 429
    assert tried("lock-other", right=True, address="192.0.2.8") == 302


def test_the_old_password_is_not_guessed_in_a_session_that_was_left_open() -> None:
    client = Client(headers={"Host": "localhost"}, REMOTE_ADDR=ADDRESS)
    client.force_login(User.objects.get(username="lock-trader"), "django.contrib.auth.backends.ModelBackend")
    new = {"new_password1": "another long one 1", "new_password2": "another long one 1"}

    def change(old: str) -> int:
        return client.post("/password", {"old_password": old, **new}).status_code

    guesses = [change("wrong") for _ in range(settings.AXES_FAILURE_LIMIT)]
    assert guesses == [200] * (settings.AXES_FAILURE_LIMIT - 1) + [429]
    assert change("right for lock-trader") == 429 and tried("lock-trader", right=True) == 429

    AccessAttempt.objects.all().delete()
    assert change("right for lock-trader") == 302
    assert User.objects.get(username="lock-trader").check_password("another long one 1")
    assert client.get("/").status_code == 200, "who changes a password stays signed in"


def test_the_admin_has_no_second_page_for_it() -> None:
    client = Client(headers={"Host": "localhost"}, REMOTE_ADDR=ADDRESS)
    client.force_login(User.objects.get(username="lock-admin"), "django.contrib.auth.backends.ModelBackend")
    answer = client.post("/admin/password_change/", {"old_password": "wrong"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/password")


def test_a_forwarded_address_by_itself_counts_for_nothing() -> None:
    """The server puts a trusted proxy's word into REMOTE_ADDR; the header of anybody else is not read."""
    answers = [tried("lock-admin", **{"X-Forwarded-For": f"198.51.100.{n}"}) for n in range(5)]
    assert answers[-1] == 429


@pytest.mark.parametrize("text", ["", "unknown", "1.2.3.4.5", "<script>", "\0", "fe80::1%eth0", "999.1.1.1"])
def test_what_is_no_address_is_no_server_error(text: str) -> None:
    assert [tried("lock-admin", address=text) for _ in range(5)] == [200] * 4 + [429]


@pytest.mark.parametrize(
    ("remote", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::"),
        ("no address", None),
    ],
)
def test_all_addresses_of_an_ipv6_customer_are_one(remote: str, counted: str | None) -> None:
    assert client_address(RequestFactory(REMOTE_ADDR=remote).get("/")) == counted
