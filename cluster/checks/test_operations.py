"""The operators' guide: every page names what shows it, every exit code has its page, every alert too."""

import re

import pytest
import yaml

from support import CLUSTER

ROOT = CLUSTER.parent
GUIDE = ROOT / "docs/operations"
PAGES = sorted(GUIDE.glob("*.md"))
RUNBOOKS = [page for page in PAGES if page.name != "README.md"]
RULES = CLUSTER / "prometheus/quorate.rules.yml"
PARTS = ("**You see**", "**It means**", "**Do**", "**Never**", "**Shown by**")
name = lambda page: page.stem  # noqa: E731


def shown_by(text):
    """What a page names as `FILE::TEST`."""
    return re.findall(r"`([\w./-]+)::([^`]+)`", text)


def exit_codes():
    """The numbers of the node's table."""
    sources = (ROOT / "crates/node/src").glob("*.rs")
    return {code for source in sources for code in re.findall(r"(?:: u8 =|=>) (7\d)\b", source.read_text())}


@pytest.mark.parametrize("page", RUNBOOKS, ids=name)
def test_a_runbook_says_what_is_seen_meant_done_never_done_and_shown(page):
    text = page.read_text()
    places = [text.find(part) for part in PARTS]
    assert -1 not in places and places == sorted(places), dict(zip(PARTS, places))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_shows_a_page_exists(page):
    named = shown_by(page.read_text())
    assert named, "no test is named"
    assert [item for item in named if not (ROOT / item[0]).is_file() or item[1] not in (ROOT / item[0]).read_text()] == []


def anchors(page):
    """What a page can be linked at: its headings as they are written in an address."""
    headings = re.findall(r"(?m)^#+ (.*)$", page.read_text())
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_of_a_page_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", page.read_text())
    targets = [((page.parent / file).resolve() if file else page, anchor) for file, anchor in links]
    broken = [(file.name, anchor) for file, anchor in targets if not file.is_file() or (anchor and anchor not in anchors(file))]
    assert broken == []


def test_every_runbook_is_in_the_table_of_the_guide():
    text = (GUIDE / "README.md").read_text()
    assert [page.name for page in RUNBOOKS if f"]({page.name})" not in text] == []


def test_every_exit_code_has_a_page():
    codes = exit_codes()
    assert {"70", "73", "78"} <= codes
    # As "exit 72, or 77", "exit 70", "Exit 74 is", "; 78 is".
    explained = {code for page in PAGES for line in page.read_text().splitlines() if "xit" in line for code in re.findall(r"\b7\d\b", line)}
    assert codes - explained == set()


def test_every_alert_names_a_runbook_and_is_shown_to_fire():
    alerts = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    assert [alert["alert"] for alert in alerts if not (ROOT / alert["annotations"]["runbook"]).is_file()] == []
    tests = yaml.safe_load((RULES.parent / "quorate.test.yml").read_text())["tests"]
    fires = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case.get("exp_alerts")}
    assert {alert["alert"] for alert in alerts} == fires
