"""The work of every contender in PyTorch: the 2NN of McMahan et al. 2017 on Fashion-MNIST, trained by plain SGD.

PEERS_WORK says what to do (JSON: data, clients, rounds, epochs, batch, rate), PEERS_EVENTS where to tell of it.
"""

import json
import os
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

WORK = json.loads(os.environ["PEERS_WORK"])
PIXELS = 784


def tell(event, **more):
    """Appends one line for the bench; a line this short is written in one piece."""
    with open(os.environ["PEERS_EVENTS"], "a") as file:
        file.write(json.dumps({"event": event, "at": time.time(), **more}) + "\n")


def initial_model():
    """The network with the weights that every contender begins with."""
    layers = [nn.Linear(PIXELS, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10)]
    model = nn.Sequential(*layers)
    weights = torch.from_numpy(np.fromfile(f"{WORK['data']}/initial.f32", np.float32))
    nn.utils.vector_to_parameters(weights, model.parameters())
    return model


def share(client):
    """Images and labels of one client: its slice of the shuffled training set."""
    size = os.path.getsize(f"{WORK['data']}/train-y.u8")
    first, end = (size * k // WORK["clients"] for k in (client, client + 1))
    return read("train", first, end - first)


def held_out():
    return read("test", 0, -1)


def read(name, first, count):
    pixels = -1 if count < 0 else count * PIXELS
    x = np.fromfile(f"{WORK['data']}/{name}-x.u8", np.uint8, pixels, offset=first * PIXELS)
    y = np.fromfile(f"{WORK['data']}/{name}-y.u8", np.uint8, count, offset=first)
    images = torch.from_numpy(x.reshape(-1, PIXELS)).float() / 255
    return images, torch.from_numpy(y).long()


def train(model, data, seed):
    """Trains in place. Returns how many samples an epoch had."""
    x, y = data
    optimizer = torch.optim.SGD(model.parameters(), lr=WORK["rate"])
    generator = torch.Generator().manual_seed(seed)
    model.train()
    for _ in range(WORK["epochs"]):
        order = torch.randperm(len(y), generator=generator)
        for first in range(0, len(y), WORK["batch"]):
            batch = order[first : first + WORK["batch"]]
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    return len(y)


@torch.no_grad()
def accuracy(model, data):
    x, y = data
    model.eval()
    hits = sum((model(a).argmax(1) == b).sum().item() for a, b in zip(x.split(1000), y.split(1000)))
    return hits / len(y)
