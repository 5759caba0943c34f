"""The control plane's own metrics, as a scraper reads them and as the guide describes them."""

import asyncio
import re
from collections import Counter
from pathlib import Path

from evenly.config.schema import Endpoint, EndpointAddress
from evenly.control.exposition import render
from evenly.discovery.source import Place, Unusable
from evenly.discovery.sources import source_for
from evenly.discovery.watcher import Known, Standing, Watcher
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.discovery.asking import options

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "discovery.md"


def watcher(standing: Standing) -> Watcher:
    """A watcher that nobody runs."""
    written = options(type="file", path="a.json")
    found = Watcher("app", written, source_for(written, Place("app", Path())), None, asyncio.Event().set)
    found.standing = standing
    return found


def exposed() -> str:
    """The metrics of a source that has answered, and one that fails."""
    known = Known((Endpoint(address=EndpointAddress.parse("10.0.0.1:80")),), 1_700_000_000.25)
    good = watcher(Standing(known, answers=3, changes=2, beyond=3, unusable=Unusable(1, ["a"])))
    bad = watcher(Standing(known, error="no", failures=Counter({"timeout": 7})))
    bad.pool = "other"
    return render([good, bad], edits=5, unsaved={"edits.json": True, "found.json": False})


def test_what_a_scraper_reads() -> None:
    samples = {
        (sample.name, sample.labels.get("pool"), sample.labels.get("reason")): sample.value
        for family in text_string_to_metric_families(exposed())
        for sample in family.samples
    }
    assert samples["evenly_edits", None, None] == 5
    assert samples["evenly_discovery_up", "app", None] == 1
    assert samples["evenly_discovery_up", "other", None] == 0
    assert samples["evenly_discovery_endpoints", "other", None] == 1
    assert samples["evenly_discovery_left_out_endpoints", "app", None] == 4
    assert samples["evenly_discovery_last_answer_timestamp_seconds", "app", None] == 1_700_000_000
    assert samples["evenly_discovery_changes_total", "app", None] == 2
    assert samples["evenly_discovery_failures_total", "other", "timeout"] == 7


def test_the_guide_has_each_and_no_other() -> None:
    documented = re.findall(r"^\| `(evenly_discovery_\w+)` \| (\w+) \| (.+) \|$", GUIDE.read_text(), re.MULTILINE)
    text = exposed()
    types = dict(re.findall(r"^# TYPE (evenly_discovery_\w+) (\w+)$", text, re.MULTILINE))
    meanings = dict(re.findall(r"^# HELP (\w+) (.+)$", text, re.MULTILINE))
    assert documented == [(name, types[name], meanings[name]) for name in types]
