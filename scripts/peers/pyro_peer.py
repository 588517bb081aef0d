"""Pyro: SVI with the mean-field ELBO (its KL term in closed form) and vectorized particles.

Its HMC kernel takes one decision for everything that it moves, so annealing takes the integrator of
that kernel alone, for all chains at once.
"""

import math
from functools import partial

import protocol
import pyro
import pyro.distributions as dist
import torch
import torch_common
from protocol import LATENT_DIM
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.infer.importance import vectorized_importance_weights
from pyro.ops.integrator import velocity_verlet
from torch_common import decoder, encoder, every_small_fit, minibatches, observations, small_encoder

pyro.set_rng_seed(0)
pyro.enable_validation(False)


def likelihood(decoder, z):
    return dist.Bernoulli(logits=decoder(z)).to_event(1)


def observe(decoder, x):
    with pyro.plate("datapoints", len(x), dim=-1):
        z = pyro.sample("z", dist.Normal(torch.zeros(len(x), LATENT_DIM), 1.0).to_event(1))
        pyro.sample("x", likelihood(decoder, z), obs=x)


def approximate(mean, log_std):
    with pyro.plate("datapoints", len(mean), dim=-1):
        pyro.sample("z", dist.Normal(mean, log_std.exp()).to_event(1))


def frozen_model():
    return partial(observe, decoder().requires_grad_(False))


def amortised(encoder, x):
    pyro.module("encoder", encoder)
    approximate(*encoder(x).chunk(2, 1))


def own_parameters(state=None):
    """One store of parameters serves every workload; scopes keep them apart."""
    return pyro.get_param_store().scope(state)


def ascent(model, n_samples, start):
    """SVI from `start`; its parameters are those of the scope that its steps run in."""

    def guide(x):
        approximate(*(pyro.param(name, value.clone()) for name, value in start.items()))

    elbo = TraceMeanField_ELBO(
        num_particles=n_samples, vectorize_particles=n_samples > 1, max_plate_nesting=1
    )
    return SVI(model, guide, pyro.optim.Adam({"lr": protocol.LEARNING_RATE}), elbo)


def free_form(batch, n_samples, steps):
    x = observations(batch)
    zeros = torch.zeros(batch, LATENT_DIM)
    svi = ascent(frozen_model(), n_samples, {"mean": zeros, "log_std": zeros})
    state = {"params": {}, "constraints": {}}

    def run():
        with own_parameters(state):
            for _ in range(steps):
                svi.step(x)

    return run


def forward(batch):
    x, encode = observations(batch), encoder().requires_grad_(False)
    return torch.inference_mode()(lambda: encode(x))


def refinement(batch, steps):
    model, x = frozen_model(), observations(batch)
    encode = encoder().requires_grad_(False)

    def run():
        svi = ascent(model, 1, dict(zip(("mean", "log_std"), encode(x).chunk(2, 1))))
        with own_parameters() as state:
            for _ in range(steps):
                svi.step(x)
        return state["params"]

    return run


def importance_weights(n_samples, chunk=1000):
    model, x = frozen_model(), observations(1)
    mean = log_std = torch.zeros(1, LATENT_DIM)

    def log_sum():
        drawn = vectorized_importance_weights(
            model, lambda x: approximate(mean, log_std), x, num_samples=chunk, max_plate_nesting=1
        )
        return drawn[0].double().logsumexp(0)

    @torch.inference_mode()
    def run():
        sums = [log_sum() for _ in range(n_samples // chunk)]
        return torch.stack(sums).logsumexp(0).item() - math.log(n_samples)

    return run


def training(batch, steps):
    generative = decoder()
    minibatch = minibatches(observations(protocol.TRAINING_SET), batch)

    def model(x):
        pyro.module("decoder", generative)
        observe(generative, x)

    adam = pyro.optim.Adam({"lr": protocol.TRAINING_RATE})
    svi = SVI(model, partial(amortised, encoder()), adam, TraceMeanField_ELBO())

    def run():
        for _ in range(steps):
            svi.step(next(minibatch))

    return run


def annealed(batch, chains, leapfrog_steps):
    frozen, x = decoder().requires_grad_(False), observations(batch)
    prior = dist.Normal(torch.zeros(LATENT_DIM), 1.0).to_event(1)

    def value(z):
        return likelihood(frozen, z).log_prob(x)

    def value_and_slope(z):
        z = z.clone().requires_grad_()
        found = value(z)
        return found.detach(), torch.autograd.grad(found.sum(), z)[0]

    @torch.enable_grad()
    def trajectory(z, momentum, slope, beta):
        latest = [None]

        def potential(sites):
            latest[0] = value(sites["z"])
            return -(prior.log_prob(sites["z"]) + beta * latest[0]).sum()

        end, momentum, gradient, _ = velocity_verlet(
            {"z": z},
            {"z": momentum},
            potential,
            lambda momentum: momentum,
            protocol.LEAPFROG_STEP,
            leapfrog_steps,
            {"z": z - beta * slope},
        )
        slope = (end["z"] - gradient["z"]) / beta
        return end["z"], momentum["z"], latest[0].detach(), slope

    return torch_common.annealed(batch, chains, value_and_slope, trajectory)


def small_fits():
    settings = protocol.SMALL_FIT
    loadings, data = map(torch.from_numpy, protocol.linear_gaussian())
    batch = settings["batch"]

    def model(x):
        with pyro.plate("datapoints", batch, dim=-1):
            z = pyro.sample("z", dist.Normal(torch.zeros(batch, 2), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z @ loadings, settings["noise_std"]).to_event(1), obs=x)

    def fit(width, seed):
        pyro.set_rng_seed(seed)
        guide = partial(amortised, small_encoder(width))
        svi = SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), TraceMeanField_ELBO())
        with own_parameters():
            for _ in range(settings["steps"]):
                svi.step(data[torch.randint(len(data), (batch,))])

    return every_small_fit(fit)


protocol.serve(
    "pyro",
    {"pyro": pyro.__version__, "torch": torch.__version__},
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
