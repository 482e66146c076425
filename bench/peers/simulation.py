"""Flower's simulation: the app on Ray, one processor for each client, as many at a time as there are processors."""

import os
import sys

APP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "app")
sys.path.insert(0, APP)
os.environ["PYTHONPATH"] = APP  # Ray's workers read it.

from flwr.simulation import run_simulation

from peers_app import client, server
from peers_app.work import WORK, tell

if __name__ == "__main__":
    tell("ready")
    run_simulation(
        server_app=server.app,
        client_app=client.app,
        num_supernodes=WORK["clients"],
        backend_config={
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
            "init_args": {"num_cpus": os.cpu_count(), "include_dashboard": False},
        },
    )
