"""The load of `bench_madre.py` for as long as one likes, with locust's page and its figures.

locust is no dependency of VX11. Run it from an environment of its own, against a running fleet:

    python -m venv /tmp/locust && /tmp/locust/bin/pip install locust==2.*
    /tmp/locust/bin/locust -f scripts/locust_madre.py --host http://127.0.0.1:8000 --token "$VX11_TOKEN" \
        --headless --users 25 --spawn-rate 5 --run-time 30m

Each user asks four times a second on average, so 25 of them make 100 requests a second. Nine in ten are reads; the
rest are sentences that become plans which are looked at and, where they wait, cancelled: nothing is changed by them.
"""

# locust is not there to be looked at:
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import random
from argparse import ArgumentParser
from typing import Any

from locust import HttpUser, constant_throughput, events, task

_SENTENCES = ("muestra los modelos", "show status", "estado del sistema", "list my plans", "verifica la auditoría")


@events.init_command_line_parser.add_listener
def _token(parser: ArgumentParser, **_more: Any) -> None:
    parser.add_argument("--token", default="", help="a token of the fleet", env_var="LOCUST_TOKEN", is_secret=True)


class Person(HttpUser):  # type: ignore[misc]
    """Somebody who looks at what madre does, and now and then says something to her."""

    wait_time = constant_throughput(4)

    def on_start(self) -> None:
        """Bring the token."""
        self.client.headers["x-vx11-token"] = self.environment.parsed_options.token
        self.plans: list[str] = []

    @task(30)
    def read_power(self) -> None:
        """The fleet, as the page asks for it."""
        self.client.get("/madre/power/state")

    @task(30)
    def list_plans(self) -> None:
        """The newest plans."""
        page = self.client.get("/madre/plans?limit=20").json()
        self.plans = [plan["plan_id"] for plan in page.get("items", [])]

    @task(30)
    def read_plan(self) -> None:
        """One of them."""
        if self.plans:
            self.client.get(f"/madre/plans/{random.choice(self.plans)}", name="/madre/plans/{id}")

    @task(10)
    def speak(self) -> None:
        """A sentence; a plan that waits for a confirmation is cancelled."""
        said = self.client.post("/madre/chat", json={"message": random.choice(_SENTENCES)}).json()
        if said.get("status") == "WAITING" and said.get("plan_id"):
            self.client.post(f"/madre/plans/{said['plan_id']}/cancel", json={}, name="/madre/plans/{id}/cancel")
