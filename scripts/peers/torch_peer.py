"""PyTorch: eager, or with what can be compiled compiled (`torch_peer.py compile`).

Weights of a frozen network ask for no gradient, Adam is the fused one, evaluation builds no graph.
"""

import math
import sys

import protocol
import torch
import torch.nn.functional as F
import torch_common
from protocol import LATENT_DIM
from torch_common import decoder, encoder, every_small_fit, minibatches, observations, small_encoder

COMPILED = sys.argv[1:] == ["compile"]
torch.manual_seed(0)


def compiled(function):
    return torch.compile(function, fullgraph=True, dynamic=False) if COMPILED else function


def negative_elbo(decoder, mean, log_std, noise, x):
    """Summed over datapoints; `noise` is `[S, B, D]`. The entropy of q is exact."""
    n_samples, batch, dim = noise.shape
    z = mean + log_std.exp() * noise
    logits = decoder(z.view(-1, dim)).view(n_samples, batch, -1)
    nll = F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="sum")
    return (nll + 0.5 * (z * z).sum()) / n_samples - log_std.sum()


def ascent_steps(decoder, x, n_samples, mean, log_std, loss):
    mean.requires_grad_()
    log_std.requires_grad_()
    optimizer = torch.optim.Adam([mean, log_std], lr=protocol.LEARNING_RATE, fused=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss(decoder, mean, log_std, torch.randn(n_samples, *mean.shape), x).backward()
        optimizer.step()

    return step


def free_form(batch, n_samples, steps):
    model, x = decoder().requires_grad_(False), observations(batch)
    start = torch.zeros(batch, LATENT_DIM)
    step = ascent_steps(model, x, n_samples, start, start.clone(), compiled(negative_elbo))

    def run():
        for _ in range(steps):
            step()

    return run


def forward(batch):
    x, encode = observations(batch), compiled(encoder().requires_grad_(False))

    @torch.inference_mode()
    def run():
        return encode(x)

    return run


def refinement(batch, steps):
    model, x = decoder().requires_grad_(False), observations(batch)
    encode, loss = compiled(encoder().requires_grad_(False)), compiled(negative_elbo)

    def run():
        with torch.no_grad():
            mean, log_std = (part.clone() for part in encode(x).chunk(2, 1))
        step = ascent_steps(model, x, 1, mean, log_std, loss)
        for _ in range(steps):
            step()

    return run


def importance_weights(n_samples, chunk=1000):
    model, x = decoder().requires_grad_(False), observations(1)
    mean = log_std = torch.zeros(1, LATENT_DIM)

    @compiled
    def log_weights(noise):
        z = mean + log_std.exp() * noise
        logits = model(z)
        nll = F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")
        return (0.5 * (noise * noise - z * z)).sum(1) + log_std.sum() - nll.sum(1)

    @torch.inference_mode()
    def run():
        sums = [
            log_weights(torch.randn(chunk, LATENT_DIM)).double().logsumexp(0)
            for _ in range(n_samples // chunk)
        ]
        return torch.stack(sums).logsumexp(0).item() - math.log(n_samples)

    return run


def training(batch, steps):
    generative, recognition = decoder(), encoder()
    data = observations(protocol.TRAINING_SET)
    parameters = [*generative.parameters(), *recognition.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=protocol.TRAINING_RATE, fused=True)

    @compiled
    def loss(x, noise):
        mean, log_std = recognition(x).chunk(2, 1)
        return negative_elbo(generative, mean, log_std, noise, x) / batch

    minibatch = minibatches(data, batch)

    def run():
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            loss(next(minibatch), torch.randn(1, batch, LATENT_DIM)).backward()
            optimizer.step()

    return run


def annealed(batch, chains, leapfrog_steps):
    model, x = decoder().requires_grad_(False), observations(batch)
    size = protocol.LEAPFROG_STEP

    def logits_and_slope(z):
        logits, pull_back = torch.func.vjp(model, z)
        return logits, pull_back(logits.sigmoid().neg_().add_(x))[0]

    @compiled
    def slope_at(z):
        return logits_and_slope(z)[1]

    @compiled
    def value_and_slope(z):
        logits, slope = logits_and_slope(z)
        nll = F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")
        return -nll.sum(-1), slope

    def trajectory(z, momentum, slope, beta):
        momentum = momentum + 0.5 * size * (beta * slope - z)
        for _ in range(leapfrog_steps - 1):
            z = z + size * momentum
            momentum += size * (beta * slope_at(z) - z)
        z = z + size * momentum
        value, slope = value_and_slope(z)
        return z, momentum + 0.5 * size * (beta * slope - z), value, slope

    return torch_common.annealed(batch, chains, value_and_slope, trajectory)


def small_fits():
    settings = protocol.SMALL_FIT
    loadings, data = map(torch.from_numpy, protocol.linear_gaussian())
    variance, batch = settings["noise_std"] ** 2, settings["batch"]

    @compiled
    def loss(recognition, x, noise):
        mean, log_std = recognition(x).chunk(2, 1)
        z = mean + log_std.exp() * noise
        residual = x - z @ loadings
        energy = (residual * residual).sum() / (2 * variance) + 0.5 * (z * z).sum()
        return (energy - log_std.sum()) / batch

    def fit(width, seed):
        generator = torch.Generator().manual_seed(seed)
        recognition = small_encoder(width)
        optimizer = torch.optim.Adam(recognition.parameters(), lr=1e-2, fused=True)
        for _ in range(settings["steps"]):
            x = data[torch.randint(len(data), (batch,), generator=generator)]
            optimizer.zero_grad(set_to_none=True)
            loss(recognition, x, torch.randn(batch, 2, generator=generator)).backward()
            optimizer.step()

    return every_small_fit(fit)


protocol.serve(
    "torch-compile" if COMPILED else "torch-eager",
    {"torch": torch.__version__},
    {
        "W1": free_form,
        "W2": forward,
        "W3": refinement,
        "W4": importance_weights,
        "W5": training,
        "W6": annealed,
        "W7": small_fits,
    },
)
