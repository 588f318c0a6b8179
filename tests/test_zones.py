"""Budgets whose days begin at the midnight of some place: by the admin API, the command line and the configuration file."""

import datetime
import json

import pytest

from support.admin import Refused
from support.cluster import Cluster
from support.command import done, quorate, run

UTC = datetime.timezone.utc
KOLKATA = datetime.timedelta(hours=5, minutes=30)
FILE = """
organisations = [{{ name = "acme" }}]

[[budgets]]
subject = "org:acme"
unit = "tokens"
window = "{window}"
time_zone = "{zone}"
limit = 100
"""


def ends_in_kolkata(budget):
    """The end must be the first midnight in Kolkata, where clocks are never changed, after the budget was shown."""
    now = datetime.datetime.now(UTC)
    end = datetime.datetime.fromisoformat(budget["window_end"])
    assert (end + KOLKATA).time() == datetime.time(0), budget
    assert now < end <= now + datetime.timedelta(days=1), budget
    local = datetime.datetime.fromisoformat(budget["window_end_local"])
    assert (local, local.utcoffset(), local.time()) == (end, KOLKATA, datetime.time(0)), budget
    assert budget["time_zone"] == "Asia/Kolkata"


def test_a_budget_made_by_the_api_or_by_hand_ends_at_its_own_midnight_on_every_node(cluster):
    admin = cluster.admin
    admin.call("POST", "/teams", {"name": "kolkata"})
    body = {"subject": "team:kolkata", "unit": "requests", "limit": 5, "window": "day", "time_zone": "Asia/Kolkata"}
    made = admin.call("POST", "/budgets", body)
    ends_in_kolkata(made)
    for other in cluster.nodes:
        ends_in_kolkata(other.admin.get(f"/budgets/{made['id']}"))

    arguments = ["budget", "create", "team:kolkata", "5M", "--window", "day", "--time-zone", "asia/kolkata", "-o", "json"]
    ends_in_kolkata(json.loads(done(cluster, *arguments)))
    weekly = ["budget", "create", "team:kolkata", "$5/week", "--time-zone", "Asia/Kolkata", "--week-starts", "sunday"]
    week = json.loads(done(cluster, *weekly, "-o", "json"))
    local_end = datetime.datetime.fromisoformat(week["window_end_local"])
    assert (local_end.strftime("%A"), local_end.time()) == ("Sunday", datetime.time(0)), week
    explained = done(cluster, "budget", "explain", "team:kolkata")
    assert "(day in Asia/Kolkata)" in explained and "(week from sunday in Asia/Kolkata)" in explained, explained


def test_a_zone_that_does_not_exist_is_refused_by_the_api_and_by_the_command_line(cluster):
    cluster.admin.call("POST", "/teams", {"name": "nowhere"})
    body = {"subject": "team:nowhere", "unit": "requests", "limit": 5, "window": "day", "time_zone": "Europe/Belin"}
    with pytest.raises(Refused, match='Europe/Belin.* is no time zone of the IANA database') as refused:
        cluster.admin.call("POST", "/budgets", body)
    assert (refused.value.status, refused.value.error["code"]) == (400, "invalid_body")
    by_hand = quorate(cluster, "budget", "create", "team:nowhere", "5/day", "--time-zone", "Europe/Belin")
    assert by_hand.returncode == 7 and '"Europe/Belin" is no time zone' in by_hand.stderr, by_hand
    assert cluster.admin.items("/budgets?subject=team:nowhere") == []


def test_a_file_may_name_a_zone_which_the_check_of_the_file_knows(tmp_path):
    file = tmp_path / "own.toml"
    file.write_text(FILE.format(window="day", zone="Europe/Belin"))
    checked = run("config", "validate", file)
    assert checked.returncode == 78 and 'budgets[0]: time_zone: "Europe/Belin"' in checked.stderr, checked

    file.write_text(FILE.format(window="day", zone="Asia/Kolkata"))
    cluster = Cluster(tmp_path, 1, config=file)
    try:
        (budget,) = cluster.admin.items("/budgets?subject=org:acme")
        ends_in_kolkata(budget)
    finally:
        cluster.stop()
