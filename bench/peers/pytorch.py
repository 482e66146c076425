"""Plain PyTorch: the same FedAvg in one process and one thread, the clients one after the other."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "app"))

import torch

from peers_app.work import WORK, accuracy, held_out, initial_model, share, tell, train

torch.set_num_threads(1)
model, test = initial_model(), held_out()
shares = [share(client) for client in range(WORK["clients"])]
tell("ready")
tell("working")
weights = {name: value.clone() for name, value in model.state_dict().items()}
tell("round", round=0, accuracy=accuracy(model, test))
for number in range(1, WORK["rounds"] + 1):
    total = 0
    mean = {name: torch.zeros_like(value) for name, value in weights.items()}
    for client, data in enumerate(shares):
        model.load_state_dict(weights)
        samples = train(model, data, seed=1000 * number + client)
        total += samples
        for name, value in model.state_dict().items():
            mean[name] += value * samples
    weights = {name: value / total for name, value in mean.items()}
    model.load_state_dict(weights)
    tell("round", round=number, accuracy=accuracy(model, test))
tell("done")
