"""PyTorch's side of `npm run bench -- train`: exports a model and times its training, steps on slices of resident tensors,
with plain SGD. One JSON line; called by train.ts with a folder, threads, seconds, whether to compile, model and batch."""

import json
import resource
import sys
import time
import warnings
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings("ignore")
sys.path.insert(0, str(Path(__file__).parent.parent / "test/trainer/cases"))
sys.argv, (folder, threads, seconds, compiled, name, batch) = sys.argv[:1], sys.argv[1:7]
from make import Gpt, Recurrent, Vit  # noqa: E402

torch.set_num_threads(int(threads))


def two_layers():
    return nn.Sequential(nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10))


def cnn():
    return nn.Sequential(nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, 10))


# name: model, shape of a sample, classes (or tokens)
shapes = {
    "2nn": (two_layers, (784,), 10),
    "cnn": (cnn, (1, 28, 28), 10),
    "gpt": (lambda: Gpt(vocabulary=256, context=64, width=128), (64,), 256),
    "vit": (lambda: Vit(width=64, image=28), (1, 28, 28), 3),
    "lstm": (lambda: Recurrent(nn.LSTM, width=64, hidden=128), (32, 64), 3),
}
samples, batch = 640, int(batch)


def rate(step):
    step(0)
    began, used, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < float(seconds):
        step(count * batch % (samples - batch + 1))
        count += 1
    done = count * batch
    return {"wall": done / (time.perf_counter() - began), "cpu": done / (time.process_time() - used)}


build, sample, classes = shapes[name]
tokens = name == "gpt"
torch.manual_seed(1)
x = torch.randint(classes, (samples, *sample)) if tokens else torch.randn(samples, *sample)
y = torch.randint(classes, (samples, *sample) if tokens else (samples,))
rates, peak = {}, 0
for kind in ["eager", "foreach", *(["compile"] if compiled == "1" else [])]:
    torch.manual_seed(1)
    net = build().train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, foreach=kind == "foreach")
    try:
        run = torch.compile(net) if kind == "compile" else net

        def step(at):
            optimizer.zero_grad()
            out = run(x[at:at + batch])
            F.cross_entropy(out.flatten(0, -2), y[at:at + batch].flatten()).backward()
            optimizer.step()

        rates[kind] = rate(step)
    except Exception as error:  # a compiler may be missing
        rates[kind] = None
        print(f"{name} {kind}: {error}"[:200], file=sys.stderr)
    peak = peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # of eager alone
path = Path(folder) / f"{name}.onnx"
if not path.exists():
    torch.onnx.export(build(), (x[:2],), path, dynamo=False, input_names=["x"], output_names=["y"], opset_version=18,
                      training=torch.onnx.TrainingMode.EVAL, dynamic_axes={"x": {0: "n"}, "y": {0: "n"}})
print(json.dumps({"model": name, "batch": batch, "sample": list(sample), "classes": classes, "tokens": tokens,
                  "rates": rates, "peakBytes": peak}), flush=True)
