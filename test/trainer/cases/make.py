"""Writes the cases of this folder: small PyTorch models, exported by both of its exporters, and what PyTorch makes of
them (gradients in float64; losses and weights of three steps of each optimiser, computed in float64 as well).

    pip install torch onnx onnxscript safetensors numpy
    python test/trainer/cases/make.py [NAME ...] && npx prettier --write test/trainer/cases

The layout is that of docs/trainer.md, "Checking against a reference". The files here came from torch 2.15, onnx 1.23,
onnxscript 0.7.
"""

import copy
import json
import math
import re
import sys
import warnings
from pathlib import Path

import onnx
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings("ignore")
here = Path(__file__).parent


class Residual(nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.norm = norm(4)
        self.one = nn.Conv2d(4, 8, 3, stride=2, padding=1, bias=False)
        self.norm1 = norm(8)
        self.two = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.norm2 = norm(8)
        self.short = nn.Conv2d(4, 8, 1, stride=2, bias=False)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)))
        y = self.norm2(self.two(F.relu(self.norm1(self.one(x)))))
        x = F.relu(y + self.short(x))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Separable(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(2, 8, 3, stride=2, padding=1), nn.Hardswish(),
            nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.SiLU(), nn.Conv2d(8, 12, 1), nn.ReLU6(),
            nn.Conv2d(12, 12, 3, padding=2, dilation=2, groups=4), nn.LeakyReLU(0.1),
            nn.AvgPool2d(3, stride=2, padding=1), nn.Flatten(), nn.Linear(48, 3))

    def forward(self, x):
        return self.net(x)


class Attention(nn.Module):
    def __init__(self, width, heads, causal):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(x).split(c, dim=2)
        q, k, v = (z.view(b, t, self.heads, c // self.heads).transpose(1, 2) for z in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.proj(y.transpose(1, 2).reshape(b, t, c))


class Block(nn.Module):
    def __init__(self, width, heads, causal):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, heads, causal)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x):
        x = x + self.attn(self.ln1(x))
        return x + self.down(F.gelu(self.up(self.ln2(x)), approximate="tanh" if self.attn.causal else "none"))


class Gpt(nn.Module):
    def __init__(self, vocabulary=17, context=6, width=8):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList([Block(width, 2, True) for _ in range(2)])
        self.ln = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.wte.weight

    def forward(self, ids):
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        return self.head(self.ln(x))


class Vit(nn.Module):
    def __init__(self, width=8, image=8):
        super().__init__()
        self.patch = nn.Conv2d(1, width, 4, stride=4)
        self.cls = nn.Parameter(torch.randn(1, 1, width) * 0.2)
        self.pos = nn.Parameter(torch.randn(1, (image // 4) ** 2 + 1, width) * 0.2)
        self.blocks = nn.ModuleList([Block(width, 2, False) for _ in range(2)])
        self.ln = nn.LayerNorm(width)
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], dim=1) + self.pos
        for block in self.blocks:
            x = block(x)
        return self.head(self.ln(x)[:, 0])


class Recurrent(nn.Module):
    def __init__(self, kind, width=5, hidden=6, **options):
        super().__init__()
        self.rnn = kind(width, hidden, batch_first=True, **options)
        self.head = nn.Linear(2 * hidden if options.get("bidirectional") else hidden, 3)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


class Lora(nn.Module):
    def __init__(self):
        super().__init__()
        self.base = nn.Linear(8, 12)
        self.a, self.b = nn.Linear(8, 2, bias=False), nn.Linear(2, 12, bias=False)
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.base(x) + 0.5 * self.b(self.a(x))))


class Encoder(nn.Module):
    """torch.nn's own transformer layer."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.encoder(x).mean(dim=1))


class Segmentation(nn.Module):
    """A class for each pixel: logits [N, classes, H, W], which cross_entropy reads with the classes second."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(1, 6, 3, padding=1)
        self.deep = nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.InstanceNorm2d(8, affine=True)
        self.up = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.head = nn.Conv2d(12, 4, 1)

    def forward(self, x):
        x = F.silu(self.down(x))
        y = F.mish(self.norm(self.deep(x)))
        return self.head(torch.cat([x, self.up(y)], 1))


class Flat(nn.Module):
    """Gives the logits of all positions of all samples as rows."""

    def __init__(self):
        super().__init__()
        self.gpt = Gpt(vocabulary=11, context=5, width=8)

    def forward(self, ids):
        return self.gpt(ids).view(-1, 11)


class Masked(nn.Module):
    """Two inputs: tokens, and which of them count."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 8, padding_idx=0)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, ids, mask):
        x = self.embed(ids)
        x = x + self.attend(x, x, x, need_weights=False)[0] * mask.unsqueeze(-1)
        return self.head((x * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True).clamp(min=1))


class Shared(nn.Module):
    """Modules that are called twice, one with a bias of zeros; adapters that begin with zeros; a head that is the table
    of the words."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(13, 6)
        self.step, self.shift = nn.Linear(6, 6, bias=False), nn.Linear(6, 6)
        nn.init.zeros_(self.shift.bias)
        self.down, self.down2 = (nn.Parameter(torch.randn(2, 6) * 0.4) for _ in range(2))
        self.up, self.up2 = (nn.Parameter(torch.zeros(6, 2)) for _ in range(2))

    def forward(self, ids):
        x = self.embed(ids)
        for _ in range(2):
            x = x + torch.tanh(self.step(x)) + F.gelu(self.shift(x), approximate="tanh")
        x = x + x @ self.down.T @ self.up.T
        x = x + torch.sigmoid(x @ self.down2.T @ self.up2.T)
        return x @ self.embed.weight.t()


class Layers(nn.Module):
    """Biases of zeros, of which each layer has its own, and an attention whose packed weights are cut."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(5, 6, num_layers=2)
        self.attend = nn.MultiheadAttention(6, 2)
        self.head = nn.Linear(6, 3)
        for name, parameter in self.named_parameters():
            if "bias" in name:
                nn.init.zeros_(parameter)

    def forward(self, x):
        x, _ = self.rnn(x.transpose(0, 1))
        return self.head(self.attend(x, x, x)[0].mean(0))


def cnn():
    return nn.Sequential(nn.Conv2d(1, 4, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1),
                         nn.Flatten(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 3))


def group(channels):
    return nn.GroupNorm(2, channels)


image, classes = (8, 8), 3
# name: model, shape of a sample, options
cases = {
    "mlp": (lambda: nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 3)), (6,), {}),
    "mlp-mse": (lambda: nn.Sequential(nn.Linear(6, 16), nn.ELU(), nn.Linear(16, 8), nn.Softplus(), nn.Linear(8, 2)), (6,), {"loss": "mse_mean"}),
    "cnn": (cnn, (1, *image), {}),
    "resnet-group": (lambda: Residual(group), (1, *image), {}),
    "resnet-frozen": (lambda: Residual(nn.BatchNorm2d), (1, *image), {"frozen_norm": True}),
    "resnet-local": (lambda: Residual(nn.BatchNorm2d), (1, *image), {"local_norm": True}),
    "separable": (Separable, (2, *image), {}),
    "gpt": (Gpt, (6,), {"tokens": 17}),
    "vit": (Vit, (1, *image), {}),
    "encoder": (Encoder, (4, 8), {}),
    "lstm": (lambda: Recurrent(nn.LSTM), (5, 5), {}),
    "lstm-two": (lambda: Recurrent(nn.LSTM, num_layers=2, bidirectional=True), (4, 5), {}),
    "gru": (lambda: Recurrent(nn.GRU), (5, 5), {}),
    "lora": (Lora, (8,), {"frozen": ["base.", "head."]}),
    "segmentation": (Segmentation, (1, *image), {"labels": (4, image)}),
    "flat": (Flat, (5,), {"tokens": 11}),
    "shared": (Shared, (5,), {"tokens": 13}),
    "layers": (Layers, (5, 5), {}),
    "masked": (Masked, (6,), {"tokens": 20, "mask": True, "labels": (3, ())}),
}
rates = {
    "sgd": {"lr": 0.1},
    "momentum": {"lr": 0.05, "momentum": 0.9},
    "adamw": {"lr": 0.01, "weight_decay": 0.1, "betas": [0.9, 0.999], "eps": 1e-8},
}
steps, batch = 3, 4


def optimizer(rule, parameters):
    if rule == "adamw":
        return torch.optim.AdamW(parameters, **{**rates[rule], "betas": tuple(rates[rule]["betas"])})
    return torch.optim.SGD(parameters, **rates[rule])


def objective(output, y, loss):
    if loss == "mse_mean":
        return F.mse_loss(output, y.to(output.dtype))
    if output.dim() == 4:
        return F.cross_entropy(output, y)
    return F.cross_entropy(output.flatten(0, -2), y.flatten())


def double(x):
    return x.double() if x.is_floating_point() else x


def inputs(tensors, k):
    return [double(tensors[name]) for name in (f"x/{k}", f"x/input/{k}", f"x/mask/{k}") if name in tensors]


def make(name, build, sample, options):
    torch.manual_seed(sum(map(ord, name)))
    model = build().eval()
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)):
            nn.init.normal_(module.weight, 1, 0.2)
            nn.init.normal_(module.bias, 0, 0.2)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
    loss, tokens = options.get("loss", "softmax_cross_entropy_mean"), options.get("tokens")
    local = options.get("local_norm", False)
    frozen = [n for n, _ in model.named_parameters() if any(n.startswith(f) for f in options.get("frozen", []))]
    trainable = [n for n, _ in model.named_parameters() if n not in frozen]
    tensors = {}
    for k in range(steps):
        x = torch.randint(tokens, (batch, *sample)) if tokens else torch.randn(batch, *sample)
        shape = (batch, *sample) if tokens else (batch,)
        y = torch.randn(batch, 2) if loss == "mse_mean" else torch.randint(tokens or classes, shape)
        if "labels" in options:
            y = torch.randint(options["labels"][0], (batch, *options["labels"][1]))
        if "mask" in options:
            tensors |= {f"x/input/{k}": x, f"x/mask/{k}": (torch.rand(batch, *sample) < 0.7).float(), f"y/{k}": y}
        else:
            tensors |= {f"x/{k}": x, f"y/{k}": y}
    reference = {f"init/{n}": p.detach().clone() for n, p in model.named_parameters()}

    exact = copy.deepcopy(model).double().train(local)
    parameters = dict(exact.named_parameters())
    objective(exact(*inputs(tensors, 0)), tensors["y/0"], loss).backward()
    reference |= {f"grad/{n}": parameters[n].grad.clone() for n in trainable}
    for k in range(steps):
        reference[f"output/{k}"] = copy.deepcopy(exact)(*inputs(tensors, k)).detach().float()
    for rule in rates:
        trained = copy.deepcopy(model).double().train(local)
        parameters = dict(trained.named_parameters())
        stepper = optimizer(rule, [parameters[n] for n in trainable])
        losses = []
        for k in range(steps):
            stepper.zero_grad()
            value = objective(trained(*inputs(tensors, k)), tensors[f"y/{k}"], loss)
            losses.append(value.item())
            value.backward()
            stepper.step()
            if rule == "adamw":
                for n in trainable:  # where a gradient is next to nothing, Adam divides rounding by rounding
                    small = parameters[n].grad.abs() < 1e-6
                    mask = reference.setdefault(f"adamw_mask/{n}", torch.ones(small.shape, dtype=torch.uint8))
                    mask[small] = 0
        reference |= {f"{rule}/{n}": parameters[n].detach().clone() for n in trainable}
        if local:
            reference |= {f"statistics/{rule}/{n}": b.clone() for n, b in trained.named_buffers() if "running" in n}
        reference[f"loss/{rule}"] = torch.tensor(losses, dtype=torch.float64)
    save_file({k: v.contiguous() for k, v in tensors.items()}, here / f"{name}.batch.safetensors")
    save_file({k: v.contiguous().clone() for k, v in reference.items()}, here / f"{name}.reference.safetensors")
    case = {
        "input": "input", "output": "output", "labels": "labels", "loss": loss, "trainable": trainable,
        "frozen": frozen, "optimizers": rates, "steps": steps,
        "tolerance": {"float32_rtol": {"output": 1e-5, "loss": 1e-5, "grad": 1e-5, "sgd": 2e-5, "momentum": 5e-5, "adamw": 1e-3}},
    }
    if local:
        case["batch_norm"] = "local"
    (here / f"{name}.json").write_text(json.dumps(case, indent=1) + "\n")
    x = [t[:batch] for n, t in tensors.items() if n.startswith("x/") and n.endswith("/0")]
    export(name, model, x, options.get("frozen_norm", False) or local)


def export(name, model, x, keep_norm):
    names = {"input_names": ["input", "mask"][:len(x)], "output_names": ["output"]}
    torch.onnx.export(model, tuple(x), here / f"{name}.script.onnx", dynamo=False, opset_version=17,
                      training=torch.onnx.TrainingMode.PRESERVE if keep_norm else torch.onnx.TrainingMode.EVAL,
                      do_constant_folding=not keep_norm,
                      dynamic_axes={n: {0: "n"} for n in [*names["input_names"], "output"]}, **names)
    shapes = tuple({0: torch.export.Dim("n", min=1, max=64)} for _ in x)
    if name != "resnet-local":  # a folded norm has no statistics
        torch.onnx.export(model, tuple(x), here / f"{name}.dynamo.onnx", dynamo=True, dynamic_shapes=shapes,
                      external_data=False, verbose=False, **names)
    program = torch.onnx.export(model, tuple(x), dynamo=True, dynamic_shapes=shapes, optimize=False, verbose=False, **names)
    program.save(here / f"{name}.plain.onnx", external_data=False)
    for path in here.glob(f"{name}.*.onnx"):
        forget_places(path)


def forget_places(path):
    """Takes the folders out of the stack traces that the exporters note: they are those of one machine."""
    model = onnx.load(path)
    bare = lambda text: re.sub(r'File "[^"\n]*/', 'File "', text)
    graphs = [model.graph]
    for graph in graphs:
        for node in graph.node:
            for attribute in node.attribute:
                graphs += [attribute.g] if attribute.HasField("g") else list(attribute.graphs)
        for thing in [graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer]:
            thing.doc_string = bare(thing.doc_string)
            for entry in thing.metadata_props:
                entry.value = bare(entry.value)
    for entry in model.metadata_props:
        entry.value = bare(entry.value)
    onnx.save(model, path)


if __name__ == "__main__":
    for name in sys.argv[1:] or cases:
        make(name, *cases[name])
        print(name, [f"{p.stat().st_size // 1000} kB {p.name}" for p in sorted(here.glob(f"{name}.*"))])
