"""The page by which stopped mail goes on: looking changes nothing, one press does it, and old links say so."""

from datetime import timedelta

import pytest

from tests import seed
from tests.web_site import WebSite
from tidings.communities import confirmations, standing
from tidings.communities.standing import Failure
from tidings.database.engine import Database
from tidings.settings import BounceSettings

OLU = "olu@example.org"
FAILURE = Failure(permanent=True, status="5.1.1", reason="no such user", about_message=False)


class House:
    """A site with one member, whose mail is stopped, and a link by which it goes on."""

    def __init__(self, database: Database) -> None:
        self.site = WebSite(database)
        with database.write() as connection:
            seed.member(connection, seed.community(connection), OLU)
            address = standing.address_at(connection, OLU)
            assert address is not None
            self.address_id, now = address.id, self.site.clock.now()
            standing.came_back(connection, address.id, FAILURE, now=now, settings=BounceSettings(stop_at=1))
            self.token = standing.ask_back(connection, address.id, email=OLU, now=now)
        self.path = f"/back/{self.token}"

    def is_stopped(self) -> bool:
        with self.site.database.read() as connection:
            return bool(standing.stopped(connection))


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


@pytest.mark.acceptance(48)
@pytest.mark.acceptance(56)
def test_looking_at_the_page_changes_nothing_and_the_button_brings_mail_back(house: House) -> None:
    client = house.site.client()
    for _ in range(2):
        page = client.get(house.path)
        assert (page.status_code, "<button>Send mail again</button>" in page.text) == (200, True)
        assert client.head(house.path).status_code == 200
        assert house.is_stopped()
    assert "goes on" in client.post(house.path).text
    assert not house.is_stopped()
    with house.site.database.read() as connection:
        assert [one.status for one in standing.history(connection, house.address_id)] == ["5.1.1"], "it is kept"


def test_a_second_press_and_a_second_look_say_that_it_is_done(house: House) -> None:
    client = house.site.client()
    pages = [client.post(house.path), client.post(house.path), client.get(house.path)]
    assert {(page.status_code, "<button>" in page.text, "goes on" in page.text) for page in pages} == {
        (200, False, True)
    }


def test_a_used_link_does_not_bring_mail_back_that_was_stopped_again(house: House) -> None:
    client = house.site.client()
    client.post(house.path)
    with house.site.database.write() as connection:
        now = house.site.clock.now() + timedelta(days=1)
        standing.came_back(connection, house.address_id, FAILURE, now=now, settings=BounceSettings(stop_at=1))
    assert "still stopped" in client.post(house.path).text
    assert house.is_stopped()


def test_a_link_of_more_than_72_hours_says_so_and_does_nothing(house: House) -> None:
    house.site.clock.advance(confirmations.LIFE + timedelta(seconds=1))
    client = house.site.client()
    for page in (client.get(house.path), client.post(house.path)):
        assert page.status_code == 200
        assert "more than three days old" in page.text
        assert "<button>" not in page.text
    assert house.is_stopped()


@pytest.mark.parametrize("token", ["x", "aaaaaaaaaaaaaaaaaaaaaaaa", "é", "%00"])
def test_a_link_that_is_not_ours_is_not_there(house: House, token: str) -> None:
    client = house.site.client()
    assert client.get(f"/back/{token}").status_code == 404
    assert client.post(f"/back/{token}").status_code == 404


def test_the_token_of_another_purpose_is_not_there(house: House) -> None:
    with house.site.database.write() as connection:
        request = {"address": house.address_id}
        now = house.site.clock.now()
        token = confirmations.ask(connection, purpose="join", email=OLU, now=now, request=request)
    assert house.site.client().post(f"/back/{token}").status_code == 404
    assert house.is_stopped()


def test_a_form_of_another_site_brings_nobody_back(house: House) -> None:
    answer = house.site.client().post(house.path, headers={"Origin": "https://elsewhere.example.org"})
    assert answer.status_code == 403
    assert house.is_stopped()
