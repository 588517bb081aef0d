"""NumPyro: SVI with the mean-field ELBO (its KL term in closed form), updates in a jitted scan."""

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
import protocol
from jax import lax
from numpyro.infer import SVI, TraceMeanField_ELBO
from protocol import LATENT_DIM


def mlp(layers, value):
    for weight, bias in layers[:-1]:
        value = jnp.tanh(value @ weight + bias)
    return value @ layers[-1][0] + layers[-1][1]


def parameters(name, layers):
    return [
        (numpyro.param(f"{name}.{i}.weight", weight), numpyro.param(f"{name}.{i}.bias", bias))
        for i, (weight, bias) in enumerate(layers)
    ]


def observe(decoder, x):
    z = numpyro.sample("z", dist.Normal(jnp.zeros((len(x), LATENT_DIM)), 1.0).to_event(1))
    numpyro.sample("x", dist.Bernoulli(logits=mlp(decoder, z)).to_event(1), obs=x)


def prepared(update, state):
    jitted = jax.jit(update, donate_argnums=0)
    kept = [state]

    def run():
        kept[0] = jax.block_until_ready(jitted(kept[0]))

    return run


def free_form(batch, n_samples, steps):
    layers = jax.tree.map(jnp.asarray, protocol.decoder_weights())
    x = jnp.asarray(protocol.observations(batch))

    def model(x):
        with numpyro.plate("datapoints", batch):
            observe(layers, x)

    def guide(x):
        mean = numpyro.param("mean", jnp.zeros((batch, LATENT_DIM)))
        log_std = numpyro.param("log_std", jnp.zeros((batch, LATENT_DIM)))
        with numpyro.plate("datapoints", batch):
            numpyro.sample("z", dist.Normal(mean, jnp.exp(log_std)).to_event(1))

    adam = numpyro.optim.Adam(protocol.LEARNING_RATE)
    svi = SVI(model, guide, adam, TraceMeanField_ELBO(num_particles=n_samples))

    def update(state):
        return lax.scan(lambda state, _: (svi.update(state, x)[0], None), state, None, steps)[0]

    return prepared(update, svi.init(jax.random.PRNGKey(0), x))


def training(batch, steps):
    data = jnp.asarray(protocol.observations(protocol.TRAINING_SET))
    of_decoder = jax.tree.map(jnp.asarray, protocol.decoder_weights())
    of_encoder = jax.tree.map(jnp.asarray, protocol.encoder_weights())
    per_pass = protocol.TRAINING_SET // batch

    def model(x):
        decoder = parameters("decoder", of_decoder)
        with numpyro.plate("datapoints", batch):
            observe(decoder, x)

    def guide(x):
        mean, log_std = jnp.split(mlp(parameters("encoder", of_encoder), x), 2, axis=1)
        with numpyro.plate("datapoints", batch):
            numpyro.sample("z", dist.Normal(mean, jnp.exp(log_std)).to_event(1))

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
    return prepared(update, (state, jax.random.PRNGKey(1)))


protocol.serve(
    "numpyro",
    {"numpyro": numpyro.__version__, "jax": jax.__version__},
    {"W1": free_form, "W5": training},
)
