"""From a session's numbers to goals, tables and chart."""

import json
from xml.etree import ElementTree

import pytest

from bench import record
from bench.record import Results
from bench.report import chart, goals, markdown, words
from bench.rows import Plan
from bench.session import Measured


def cpu(name: str, **microseconds: list[float]) -> Measured:
    samples = {label: [{"cpu_us": value, "rate": 1000.0} for value in values] for label, values in microseconds.items()}
    return Measured(name, f"Row {name}", "cpu_us", samples)


def results(*rows: Measured) -> Results:
    return Results("2026-01-01T00:00+00:00", {"cores": "2"}, {"haproxy": "2.6.12"}, Plan(2, 1), rows)


SMALL = cpu("small64", evenly=[8.0, 9.0], haproxy=[10.0, 10.0], nginx=[8.0, 9.0], floor=[6.0, 6.0])


def test_goals_are_judged_by_ratio_where_both_were_measured():
    found = {one.goal.against: (one.measured, one.met) for one in goals.verdicts({"small64": SMALL})}
    assert found == {"haproxy": (pytest.approx(0.85), True), "nginx": (pytest.approx(1.0), False)}


def test_goals_without_a_peer_are_judged_by_the_figure():
    row = Measured("instructions1", "Instructions", "instructions", {"evenly": [{"instructions": 12_001.0}]})
    (verdict,) = goals.verdicts({"instructions1": row})
    assert (verdict.measured, verdict.met) == (12_001.0, False)


def test_nothing_is_judged_without_evenly():
    assert goals.verdicts({"small64": cpu("small64", haproxy=[1.0])}) == []


def test_the_page_shows_medians_ratios_and_goals():
    page = markdown.page(results(SMALL))
    assert "| Row small64 | 8.5 ± 6 % | 10.0 ± 0 % |" in page
    assert "| Row small64 | 0.85 (0.80–0.90) | 1.00 (1.00–1.00) | – |" in page
    assert "| Row small64 | ≤ 0.90 × nginx | 1.00 × | **no** |" in page
    assert "Failed or missing" not in page


def test_the_page_tells_what_failed_and_what_is_missing():
    row = cpu("close", evenly=[8.0])
    row.samples["evenly"] = [{"cpu_us": 8.0, "failures": 3}]
    row.missing["envoy"] = "not installed"
    page = markdown.page(results(row))
    assert "Row close: evenly had 3 failed requests" in page
    assert "Row close: no envoy (not installed)" in page


def test_peers_with_other_settings_stand_in_a_table_of_their_own():
    row = cpu("download1m", evenly=[5.0], haproxy=[6.0])
    row.samples["haproxy tuned"] = [{"cpu_us": 4.0}]
    assert "| Row download1m | haproxy tuned | 4.0 | 1.25 (1.25–1.25) |" in markdown.page(results(row))


def test_handshakes_have_a_table_of_their_own_and_are_promised_by_the_second():
    samples = {
        label: [{"handshake_cpu_us": cpu_us, "handshakes_per_cpu_second": 1e6 / cpu_us, "rate": 1500.0}]
        for label, cpu_us in (("evenly", 200.0), ("haproxy", 400.0), ("nginx", 250.0))
    }
    page = markdown.page(results(Measured("tls-full", "Handshakes", "handshake_cpu_us", samples)))
    assert "| Handshakes | haproxy | 400.0 | 2,500 | 1,500 | 0.50 (0.50–0.50) |" in page
    assert "| Handshakes | ≤ 0.67 × haproxy | 0.50 × | yes |" in page
    assert "| Handshakes | ≤ 0.67 × nginx | 0.80 × | **no** |" in page


def test_the_terminal_line_shouts_failures():
    row = Measured("idle", "Idle", "private_bytes", {"nginx": [{"private_bytes": 515.0, "failures": 2}]})
    assert words.summary(row) == "nginx 515 bytes · nginx: 2 FAILED REQUESTS"


@pytest.mark.parametrize(("seconds", "shown"), [(0.2, "0:00"), (65.0, "1:05"), (419.7, "7:00")])
def test_time_left(seconds, shown):
    assert words.clock(seconds) == shown


def test_the_chart_is_well_formed_and_cuts_what_is_far_away():
    tree = ElementTree.fromstring(chart.chart([cpu("a<b", evenly=[2.0], envoy=[20.0], floor=[1.0])]))
    bars = [float(shape.get("width")) for shape in tree.findall("{*}rect") if shape.get("height") == str(chart.BAR - 2)]
    notes = [text.text for text in tree.findall("{*}text")]
    assert max(bars) == chart.WIDTH - chart.LEFT - chart.RIGHT
    assert "10.00" in notes
    assert "Row a<b" in notes


def test_a_chart_without_evenly_is_empty_and_well_formed():
    ElementTree.fromstring(chart.chart([cpu("small64", haproxy=[1.0])]))


def test_results_come_back_from_their_file(tmp_path):
    path = tmp_path / "results" / "latest.json"
    record.write(results(SMALL), path)
    again = record.read(path)
    assert again.rows[0].values("evenly") == [8.0, 9.0]
    assert markdown.page(again) == markdown.page(results(SMALL))
    assert json.loads(path.read_text())["plan"] == {"runs": 2, "seconds": 1}


def test_the_readme_gets_the_rows_that_are_promised():
    text = markdown.digest(results(SMALL, cpu("small256", evenly=[1.0], haproxy=[1.0])))
    assert text.splitlines()[0] == "| Evenly ÷ | haproxy 2.6.12 | nginx | envoy |"
    assert "| Row small64 | 0.85 (0.80–0.90) | 1.00 (1.00–1.00) | – |" in text
    assert "Row small256" not in text


def test_the_readme_is_filled_between_its_marks_again_and_again():
    text = f"before\n{markdown.OPENING} who writes it -->\n{markdown.CLOSING}\nafter\n"
    once = markdown.filled(text, "| table |\n")
    assert once == f"before\n{markdown.OPENING} who writes it -->\n\n| table |\n\n{markdown.CLOSING}\nafter\n"
    assert markdown.filled(once, "| table |\n") == once
    with pytest.raises(ValueError, match="no"):
        markdown.filled("no marks", "x")
