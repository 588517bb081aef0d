"""Pyro: SVI with the mean-field ELBO (its KL term in closed form) and vectorized particles."""

import protocol
import pyro
import pyro.distributions as dist
import torch
from protocol import LATENT_DIM
from pyro.infer import SVI, TraceMeanField_ELBO
from torch import nn

torch.set_num_threads(protocol.N_THREADS)
pyro.set_rng_seed(0)
pyro.enable_validation(False)


def network(layers):
    parts = []
    for weight, bias in layers:
        linear = nn.Linear(*weight.shape)
        linear.weight.data = torch.from_numpy(weight.T.copy())
        linear.bias.data = torch.from_numpy(bias)
        parts += [linear, nn.Tanh()]
    return nn.Sequential(*parts[:-1])


def observe(decoder, x):
    z = pyro.sample("z", dist.Normal(torch.zeros(len(x), LATENT_DIM), 1.0).to_event(1))
    pyro.sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=x)


def free_form(batch, n_samples, steps):
    decoder = network(protocol.decoder_weights()).requires_grad_(False)
    x = torch.from_numpy(protocol.observations(batch))
    # One store of parameters serves every workload.
    names = [f"{name}_{batch}_{n_samples}" for name in ("mean", "log_std")]

    def model(x):
        with pyro.plate("datapoints", batch, dim=-1):
            observe(decoder, x)

    def guide(x):
        mean, log_std = (pyro.param(name, torch.zeros(batch, LATENT_DIM)) for name in names)
        with pyro.plate("datapoints", batch, dim=-1):
            pyro.sample("z", dist.Normal(mean, log_std.exp()).to_event(1))

    elbo = TraceMeanField_ELBO(
        num_particles=n_samples, vectorize_particles=n_samples > 1, max_plate_nesting=1
    )
    svi = SVI(model, guide, pyro.optim.Adam({"lr": protocol.LEARNING_RATE}), elbo)

    def run():
        for _ in range(steps):
            svi.step(x)

    return run


def training(batch, steps):
    decoder = network(protocol.decoder_weights())
    encoder = network(protocol.encoder_weights())
    data = torch.from_numpy(protocol.observations(protocol.TRAINING_SET))

    def model(x):
        pyro.module("decoder", decoder)
        with pyro.plate("datapoints", batch, dim=-1):
            observe(decoder, x)

    def guide(x):
        pyro.module("encoder", encoder)
        mean, log_std = encoder(x).chunk(2, 1)
        with pyro.plate("datapoints", batch, dim=-1):
            pyro.sample("z", dist.Normal(mean, log_std.exp()).to_event(1))

    adam = pyro.optim.Adam({"lr": protocol.TRAINING_RATE})
    svi = SVI(model, guide, adam, TraceMeanField_ELBO())

    def batches():
        while True:
            yield from torch.randperm(len(data)).split(batch)

    rows = batches()

    def run():
        for _ in range(steps):
            svi.step(data[next(rows)])

    return run


protocol.serve(
    "pyro",
    {"pyro": pyro.__version__, "torch": torch.__version__},
    {"W1": free_form, "W5": training},
)
