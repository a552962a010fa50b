"""The alert rules: Prometheus loads them, they see what they are for, and every metric they name is one of madre's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from config.metrics import Metrics
from madre.drivers import Usage
from tests.support.eventually import eventually
from tests.support.power import Madre, madre_in
from tests.support.tree import ROOT

FOLDER = ROOT / "docs" / "prometheus"
RULES = FOLDER / "vx11.rules.yml"
PROMTOOL = shutil.which("promtool")
KINDS = re.compile(r"^# TYPE (vx11_\w+) (counter|gauge|histogram)$", re.MULTILINE)
NAMED = re.compile(r"\bvx11_service_\w+")

needs_promtool = pytest.mark.skipif(
    PROMTOOL is None and "CI" not in os.environ, reason="promtool is not installed: apt-get install prometheus"
)


def promtool(*arguments: str, folder: Path = FOLDER) -> str:
    assert PROMTOOL is not None, "CI installs promtool (.ci/run)"
    done = subprocess.run([PROMTOOL, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_prometheus_loads_the_configuration_and_the_rules(tmp_path: Path) -> None:
    for file in FOLDER.glob("*.yml"):
        shutil.copy(file, tmp_path)
    (tmp_path / "vx11.token").write_text("a token")
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml", folder=tmp_path)


@needs_promtool
def test_each_alert_sees_what_it_is_for_and_overlooks_the_rest() -> None:
    assert "SUCCESS" in promtool("test", "rules", "vx11.rules.test.yml")


def test_every_alert_is_tried_out() -> None:
    alerts = set(re.findall(r"- alert: (\w+)", RULES.read_text()))
    assert len(alerts) >= 6
    assert set(re.findall(r"alertname: (\w+)", (FOLDER / "vx11.rules.test.yml").read_text())) == alerts


async def exposition(madre: Madre) -> str:
    return (await madre.client.get("/metrics")).text


async def test_every_metric_an_alert_names_is_told_by_madre(tmp_path: Path) -> None:
    async with madre_in(tmp_path, power={"figures_sec": 0.05}) as madre:
        madre.driver.script("switch").counts = Metrics("switch")
        madre.driver.taken["switch"] = Usage(1.0, 20.0, 3, 4)
        await madre.open("switch")
        found = await eventually(
            lambda: exposition(madre), lambda text: 'vx11_service_answer_seconds_count{service="switch"}' in text
        )
    kinds = dict(KINDS.findall(found))
    series = {name if kind != "histogram" else f"{name}_bucket" for name, kind in kinds.items()}
    assert set(NAMED.findall(RULES.read_text())) <= series
