"""What PyTorch and Pyro share: networks, minibatches, annealing, and the loop over small fits."""

import protocol
import torch
from protocol import LATENT_DIM
from torch import nn

torch.set_num_threads(protocol.N_THREADS)


def network(layers):
    parts = []
    for weight, bias in layers:
        linear = nn.Linear(*weight.shape)
        linear.weight.data = torch.from_numpy(weight.T.copy())
        linear.bias.data = torch.from_numpy(bias)
        parts += [linear, nn.Tanh()]
    return nn.Sequential(*parts[:-1])


def decoder():
    return network(protocol.decoder_weights())


def encoder():
    return network(protocol.encoder_weights())


def observations(batch):
    return torch.from_numpy(protocol.observations(batch))


def minibatches(data, batch):
    """Without end, in a new order each pass."""
    while True:
        for rows in torch.randperm(len(data)).split(batch):
            yield data[rows]


def annealed(batch, chains, value_and_slope, trajectory):
    """One run goes through every temperature, from where the chains were.

    `value_and_slope(z)` is that of each chain's log likelihood, for the first point alone.
    `trajectory(z, momentum, slope, beta)` gives where it ends, the momentum, the value, the slope.
    """
    z = torch.randn(chains, batch, LATENT_DIM)
    kept = [(z, *value_and_slope(z))]
    betas = protocol.BETAS

    @torch.no_grad()
    def run():
        z, value, slope = kept[0]
        log_weight = torch.zeros_like(value)
        for before, beta in zip(betas, betas[1:]):
            log_weight += (beta - before) * value
            momentum = torch.randn_like(z)
            end, momentum_there, *there = trajectory(z, momentum, slope, beta)
            quadratic = 0.5 * (momentum.square() + z.square() - momentum_there.square() - end.square())
            rise = quadratic.sum(-1) + beta * (there[0] - value)
            accepted = torch.rand_like(rise).log_() < rise
            value = torch.where(accepted, there[0], value)
            z, slope = (
                torch.where(accepted[..., None], new, old)
                for new, old in ((end, z), (there[1], slope))
            )
        kept[0] = z, value, slope
        return log_weight, accepted

    return run


def small_encoder(width):
    return nn.Sequential(nn.Linear(10, width), nn.Tanh(), nn.Linear(width, 4))


def every_small_fit(fit):
    def run():
        for width in protocol.SMALL_FIT_WIDTHS:
            for seed in range(protocol.SMALL_FIT_SEEDS):
                fit(width, seed)

    return run
