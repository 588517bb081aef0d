"""JAX with optax: everything jitted, steps in a scan, buffers donated.

The default generator, threefry, was faster here than `unsafe_rbg`.
"""

import jax
import jax.numpy as jnp
import optax
import protocol
from jax import lax
from jax_common import every_small_fit, mlp, on_device, repeated, small_encoder, softplus
from jax_refinement import refinement_to_gap
from protocol import LATENT_DIM


def negative_elbo(decoder, mean, log_std, noise, x):
    """Summed over datapoints; `noise` is `[S, B, D]`. The entropy of q is exact."""
    z = mean + jnp.exp(log_std) * noise
    logits = mlp(decoder, z.reshape(-1, z.shape[-1])).reshape(*noise.shape[:2], -1)
    nll = (softplus(logits) - x * logits).sum()
    return (nll + 0.5 * (z * z).sum()) / noise.shape[0] - log_std.sum()


def adam_scan(loss, optimizer, carry, steps):
    """`steps` of Adam from `(parameters, state, key)`; `loss` takes the parameters and a key."""

    def step(carry, _):
        parameters, state, draws = carry
        draws, now = jax.random.split(draws)
        updates, state = optimizer.update(jax.grad(loss)(parameters, now), state)
        return (optax.apply_updates(parameters, updates), state, draws), None

    return lax.scan(step, carry, None, length=steps)[0]


def free_form(batch, n_samples, steps):
    decoder = on_device(protocol.decoder_weights())
    x = jnp.asarray(protocol.observations(batch))
    optimizer = optax.adam(protocol.LEARNING_RATE)
    start = (jnp.zeros((batch, LATENT_DIM)), jnp.zeros((batch, LATENT_DIM)))

    def loss(parameters, draws):
        noise = jax.random.normal(draws, (n_samples, batch, LATENT_DIM))
        return negative_elbo(decoder, *parameters, noise, x)

    return repeated(
        lambda carry: adam_scan(loss, optimizer, carry, steps),
        (start, optimizer.init(start), jax.random.key(0)),
    )


def forward(batch):
    encoder = on_device(protocol.encoder_weights())
    x = jnp.asarray(protocol.observations(batch))
    encode = jax.jit(lambda x: mlp(encoder, x))
    return lambda: encode(x).block_until_ready()


def refinement(batch, steps):
    decoder, encoder = on_device((protocol.decoder_weights(), protocol.encoder_weights()))
    x = jnp.asarray(protocol.observations(batch))
    optimizer = optax.adam(protocol.LEARNING_RATE)

    def loss(parameters, draws):
        noise = jax.random.normal(draws, (1, batch, LATENT_DIM))
        return negative_elbo(decoder, *parameters, noise, x)

    def infer(carry):
        _, draws = carry
        start = tuple(jnp.split(mlp(encoder, x), 2, axis=1))
        ended = adam_scan(loss, optimizer, (start, optimizer.init(start), draws), steps)
        return ended[0], ended[2]

    empty = jnp.zeros((batch, LATENT_DIM))
    return repeated(infer, ((empty, empty), jax.random.key(0)))


def importance_weights(n_samples, chunk=1000):
    decoder = on_device(protocol.decoder_weights())
    x = jnp.asarray(protocol.observations(1))
    mean = log_std = jnp.zeros((1, LATENT_DIM))

    def log_sum(draws):
        noise = jax.random.normal(draws, (chunk, LATENT_DIM))
        z = mean + jnp.exp(log_std) * noise
        logits = mlp(decoder, z)
        log_joint = (x * logits - softplus(logits)).sum(1) - 0.5 * (z * z).sum(1)
        return jax.nn.logsumexp(log_joint + 0.5 * (noise * noise).sum(1) + log_std.sum())

    def estimate(carry):
        _, draws = carry
        draws, now = jax.random.split(draws)
        sums = lax.map(log_sum, jax.random.split(now, n_samples // chunk))
        return jax.nn.logsumexp(sums) - jnp.log(n_samples), draws

    return repeated(estimate, (jnp.zeros(()), jax.random.key(0)))


def training(batch, steps):
    data = jnp.asarray(protocol.observations(protocol.TRAINING_SET))
    networks = on_device((protocol.decoder_weights(), protocol.encoder_weights()))
    optimizer = optax.adam(protocol.TRAINING_RATE)
    per_pass = protocol.TRAINING_SET // batch

    def loss(networks, x, draws):
        decoder, encoder = networks
        mean, log_std = jnp.split(mlp(encoder, x), 2, axis=1)
        noise = jax.random.normal(draws, (1, batch, LATENT_DIM))
        return negative_elbo(decoder, mean, log_std, noise, x) / batch

    def one_pass(carry, _):
        networks, state, draws = carry
        draws, order, now = jax.random.split(draws, 3)
        rows = jax.random.permutation(order, protocol.TRAINING_SET).reshape(per_pass, batch)

        def step(carry, rows_and_draws):
            networks, state = carry
            rows, now = rows_and_draws
            updates, state = optimizer.update(jax.grad(loss)(networks, data[rows], now), state)
            return (optax.apply_updates(networks, updates), state), None

        scanned = (rows, jax.random.split(now, per_pass))
        (networks, state), _ = lax.scan(step, (networks, state), scanned)
        return (networks, state, draws), None

    return repeated(
        lambda carry: lax.scan(one_pass, carry, None, length=steps // per_pass)[0],
        (networks, optimizer.init(networks), jax.random.key(0)),
    )


def annealed(batch, chains, leapfrog_steps):
    decoder = on_device(protocol.decoder_weights())
    x = jnp.asarray(protocol.observations(batch))
    betas, size = jnp.asarray(protocol.BETAS), protocol.LEAPFROG_STEP

    def value_and_slope(z):
        """Of each chain's log likelihood. Compiled code leaves out a value that nobody takes."""
        decode = lambda z: mlp(decoder, z.reshape(-1, LATENT_DIM)).reshape(chains, batch, -1)
        logits, pull_back = jax.vjp(decode, z)
        value = (x * logits - softplus(logits)).sum(-1)
        return value, pull_back(x - jax.nn.sigmoid(logits))[0]

    def transition(carry, pair):
        z, value, slope, log_weight, draws = carry
        before, beta = pair
        draws, for_momentum, for_decision = jax.random.split(draws, 3)
        log_weight += (beta - before) * value
        momentum = jax.random.normal(for_momentum, z.shape)

        def leap(carry, _):
            end, moved = carry
            end += size * moved
            return (end, moved + size * (beta * value_and_slope(end)[1] - end)), None

        moved = momentum + 0.5 * size * (beta * slope - z)
        (end, moved), _ = lax.scan(leap, (z, moved), None, length=leapfrog_steps - 1)
        end += size * moved
        new_value, new_slope = value_and_slope(end)
        moved += 0.5 * size * (beta * new_slope - end)
        quadratic = 0.5 * (momentum**2 + z**2 - moved**2 - end**2)
        rise = quadratic.sum(-1) + beta * (new_value - value)
        accepted = jnp.log(jax.random.uniform(for_decision, rise.shape)) < rise
        value = jnp.where(accepted, new_value, value)
        z, slope = (
            jnp.where(accepted[..., None], new, old) for new, old in ((end, z), (new_slope, slope))
        )
        return (z, value, slope, log_weight, draws), None

    def anneal(carry):
        z, value, slope, log_weight, draws = carry
        start = (z, value, slope, jnp.zeros_like(log_weight), draws)
        return lax.scan(transition, start, (betas[:-1], betas[1:]))[0]

    z = jax.random.normal(jax.random.key(1), (chains, batch, LATENT_DIM))
    value, slope = jax.jit(value_and_slope)(z)
    return repeated(anneal, (z, value, slope, value, jax.random.key(0)))


def small_fits():
    settings = protocol.SMALL_FIT
    loadings, data = on_device(protocol.linear_gaussian())
    variance, batch = settings["noise_std"] ** 2, settings["batch"]
    optimizer = optax.adam(1e-2)

    def loss(layers, draws):
        for_rows, for_noise = jax.random.split(draws)
        x = data[jax.random.randint(for_rows, (batch,), 0, len(data))]
        mean, log_std = jnp.split(mlp(layers, x), 2, axis=1)
        z = mean + jnp.exp(log_std) * jax.random.normal(for_noise, (batch, 2))
        energy = ((x - z @ loadings) ** 2).sum() / (2 * variance) + 0.5 * (z * z).sum()
        return (energy - log_std.sum()) / batch

    def fit(width, draws):
        for_layers, draws = jax.random.split(draws)
        layers = small_encoder(width, for_layers)
        return adam_scan(loss, optimizer, (layers, optimizer.init(layers), draws), settings["steps"])[0]

    return every_small_fit(fit)


protocol.serve(
    "jax",
    {"jax": jax.__version__, "optax": optax.__version__},
    {
        "W1": free_form,
        "W2": forward,
        "W3": refinement,
        "W3_gap": refinement_to_gap,
        "W4": importance_weights,
        "W5": training,
        "W6": annealed,
        "W7": small_fits,
    },
)
