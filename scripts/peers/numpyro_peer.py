"""NumPyro: SVI with the mean-field ELBO (its KL term in closed form), updates in a jitted scan.

Importance weights are vmapped log densities of model and guide; annealing is its HMC kernel, vmapped
over the chains.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
import protocol
from jax import lax
from jax_common import every_small_fit, mlp, on_device, repeated, small_encoder
from numpyro import handlers
from numpyro.infer import SVI, TraceMeanField_ELBO
from numpyro.infer.hmc import hmc
from numpyro.infer.util import log_density, potential_energy
from protocol import LATENT_DIM


def parameters(name, layers):
    return [
        (numpyro.param(f"{name}.{i}.weight", weight), numpyro.param(f"{name}.{i}.bias", bias))
        for i, (weight, bias) in enumerate(layers)
    ]


def observe(decoder, x, beta=1.0):
    with numpyro.plate("datapoints", len(x)):
        z = numpyro.sample("z", dist.Normal(jnp.zeros((len(x), LATENT_DIM)), 1.0).to_event(1))
        with handlers.scale(scale=beta):
            numpyro.sample("x", dist.Bernoulli(logits=mlp(decoder, z)).to_event(1), obs=x)


def approximate(mean, log_std):
    with numpyro.plate("datapoints", len(mean)):
        numpyro.sample("z", dist.Normal(mean, jnp.exp(log_std)).to_event(1))


def encode(layers, x):
    return jnp.split(mlp(parameters("encoder", layers), x), 2, axis=1)


def with_encoder():
    """`f(x)` with the parameters of the guide put in their sites."""
    layers = on_device(protocol.encoder_weights())
    empty = jnp.zeros((1, protocol.OBSERVED_DIM))
    sites = handlers.trace(partial(encode, layers)).get_trace(empty)
    values = {name: site["value"] for name, site in sites.items()}
    return handlers.substitute(partial(encode, layers), data=values)


def frozen_model():
    return partial(observe, on_device(protocol.decoder_weights()))


def free_form_guide(x):
    zeros = jnp.zeros((len(x), LATENT_DIM))
    approximate(numpyro.param("mean", zeros), numpyro.param("log_std", zeros))


def free_form_svi(n_samples):
    adam = numpyro.optim.Adam(protocol.LEARNING_RATE)
    elbo = TraceMeanField_ELBO(num_particles=n_samples)
    return SVI(frozen_model(), free_form_guide, adam, elbo)


def updated(svi, state, x, steps):
    return lax.scan(lambda state, _: (svi.update(state, x)[0], None), state, None, steps)[0]


def free_form(batch, n_samples, steps):
    x = jnp.asarray(protocol.observations(batch))
    svi = free_form_svi(n_samples)
    start = svi.init(jax.random.PRNGKey(0), x)
    return repeated(lambda state: updated(svi, state, x, steps), start)


def forward(batch):
    x = jnp.asarray(protocol.observations(batch))
    encode = jax.jit(with_encoder())
    return lambda: jax.block_until_ready(encode(x))


def refinement(batch, steps):
    x = jnp.asarray(protocol.observations(batch))
    svi, encode = free_form_svi(1), with_encoder()

    def infer(carry):
        _, key = carry
        start = dict(zip(("mean", "log_std"), encode(x)))
        state = updated(svi, svi.init(key, x, init_params=start), x, steps)
        return svi.get_params(state), state.rng_key

    empty = {name: jnp.zeros((batch, LATENT_DIM)) for name in ("mean", "log_std")}
    return repeated(infer, (empty, jax.random.PRNGKey(0)))


def importance_weights(n_samples, chunk=1000):
    model = frozen_model()
    x = jnp.asarray(protocol.observations(1))

    def log_weight(key):
        drawn = handlers.trace(handlers.seed(free_form_guide, key)).get_trace(x)
        z = {"z": drawn["z"]["value"]}
        return log_density(model, (x,), {}, z)[0] - log_density(free_form_guide, (x,), {}, z)[0]

    def estimate(carry):
        _, key = carry
        key, now = jax.random.split(key)
        keys = jax.random.split(now, (n_samples // chunk, chunk))
        sums = lax.map(lambda keys: jax.nn.logsumexp(jax.vmap(log_weight)(keys)), keys)
        return jax.nn.logsumexp(sums) - jnp.log(n_samples), key

    return repeated(estimate, (jnp.zeros(()), jax.random.key(0)))


def training(batch, steps):
    data = jnp.asarray(protocol.observations(protocol.TRAINING_SET))
    of_decoder, of_encoder = on_device((protocol.decoder_weights(), protocol.encoder_weights()))
    per_pass = protocol.TRAINING_SET // batch

    def model(x):
        observe(parameters("decoder", of_decoder), x)

    def guide(x):
        approximate(*encode(of_encoder, x))

    svi = SVI(model, guide, numpyro.optim.Adam(protocol.TRAINING_RATE), TraceMeanField_ELBO())

    def update(carry):
        def one_pass(carry, _):
            state, key = carry
            key, order = jax.random.split(key)
            rows = jax.random.permutation(order, protocol.TRAINING_SET).reshape(per_pass, batch)
            step = lambda state, rows: (svi.update(state, data[rows])[0], None)
            return (lax.scan(step, state, rows)[0], key), None

        return lax.scan(one_pass, carry, None, steps // per_pass)[0]

    state = svi.init(jax.random.PRNGKey(0), data[:batch])
    return repeated(update, (state, jax.random.PRNGKey(1)))


def annealed(batch, chains, leapfrog_steps):
    decoder = on_device(protocol.decoder_weights())
    x = jnp.asarray(protocol.observations(batch))[:, None]
    betas, size = jnp.asarray(protocol.BETAS), protocol.LEAPFROG_STEP

    def potential(x, beta):
        return partial(potential_energy, observe, (decoder, x, beta), {})

    initialise, sample = hmc(potential_fn_gen=potential, algo="HMC")

    def start(key, x):
        for_z, key = jax.random.split(key)
        return initialise(
            {"z": jax.random.normal(for_z, (1, LATENT_DIM))},
            num_warmup=0,
            step_size=size,
            adapt_step_size=False,
            adapt_mass_matrix=False,
            num_steps=leapfrog_steps,
            trajectory_length=leapfrog_steps * size,
            model_args=(x, 1.0),
            rng_key=key,
        )

    def transition(x, state, log_weight, betas):
        """Energy and gradient of the point are linear in beta: they need not be found anew."""
        before, now, rise = betas
        z = state.z["z"]
        prior = -dist.Normal().log_prob(z).sum()
        value = (prior - state.potential_energy) / before
        slope = z + now / before * (state.z_grad["z"] - z)
        state = state._replace(potential_energy=prior - now * value, z_grad={"z": slope})
        return sample(state, model_args=(x, now)), log_weight + rise * value

    over_chains = jax.vmap(transition, in_axes=(None, 0, 0, None))
    over_datapoints = jax.vmap(over_chains, in_axes=(0, 0, 0, None))

    def anneal(carry):
        states, _ = carry
        # The first transition gets states whose energy is that of the previous run's last temperature.
        before = jnp.roll(betas[1:], 1)
        step = lambda carry, betas: (over_datapoints(x, *carry, betas), None)
        start = (states, jnp.zeros((batch, chains)))
        return lax.scan(step, start, (before, betas[1:], jnp.diff(betas)))[0]

    keys = jax.random.split(jax.random.key(0), (batch, chains))
    states = jax.jit(jax.vmap(jax.vmap(start, in_axes=(0, None))))(keys, x)
    return repeated(anneal, (states, jnp.zeros((batch, chains))))


def small_fits():
    settings = protocol.SMALL_FIT
    loadings, data = on_device(protocol.linear_gaussian())
    batch = settings["batch"]

    def model(x):
        with numpyro.plate("datapoints", batch):
            z = numpyro.sample("z", dist.Normal(jnp.zeros((batch, 2)), 1.0).to_event(1))
            likelihood = dist.Normal(z @ loadings, settings["noise_std"])
            numpyro.sample("x", likelihood.to_event(1), obs=x)

    def fit(width, key):
        for_layers, for_state, key = jax.random.split(key, 3)
        layers = small_encoder(width, for_layers)
        guide = lambda x: approximate(*encode(layers, x))
        svi = SVI(model, guide, numpyro.optim.Adam(1e-2), TraceMeanField_ELBO())

        def step(state, key):
            rows = jax.random.randint(key, (batch,), 0, len(data))
            return svi.update(state, data[rows])[0], None

        keys = jax.random.split(key, settings["steps"])
        state = lax.scan(step, svi.init(for_state, data[:batch]), keys)[0]
        return svi.get_params(state)

    return every_small_fit(fit)


protocol.serve(
    "numpyro",
    {"numpyro": numpyro.__version__, "jax": jax.__version__},
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
