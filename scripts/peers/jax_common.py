"""What JAX and NumPyro share: networks, runs of jitted functions, and the loop over small fits."""

import jax
import jax.numpy as jnp
import protocol


def mlp(layers, value):
    for weight, bias in layers[:-1]:
        value = jnp.tanh(value @ weight + bias)
    return value @ layers[-1][0] + layers[-1][1]


def softplus(value):
    """Its gradient needs no logarithm, unlike that of `jax.nn.softplus`."""
    return jnp.maximum(value, 0) + jnp.log1p(jnp.exp(-jnp.abs(value)))


def on_device(tree):
    return jax.tree.map(jnp.asarray, tree)


def repeated(function, carry):
    """Runs a jitted `function` on what it gave before, in the same memory."""
    jitted = jax.jit(function, donate_argnums=0)
    kept = [jax.tree.map(lambda leaf: leaf.copy(), carry)]

    def run():
        kept[0] = jax.block_until_ready(jitted(kept[0]))
        return kept[0]

    return run


def small_encoder(width, key):
    """10-`width`-4, drawn at random."""
    first, second = jax.random.split(key)
    return [
        (jax.random.normal(first, (10, width)) / 10**0.5, jnp.zeros(width)),
        (jax.random.normal(second, (width, 4)) / width**0.5, jnp.zeros(4)),
    ]


def every_small_fit(fit):
    """Runs `fit(width, key)`. Warm: a width is compiled before the clock starts; seeds go together."""
    fits = [
        jax.jit(jax.vmap(lambda key, width=width: fit(width, key)))
        for width in protocol.SMALL_FIT_WIDTHS
    ]
    n_runs = [0]

    def run():
        n_runs[0] += 1
        keys = jax.random.split(jax.random.key(n_runs[0]), protocol.SMALL_FIT_SEEDS)
        return jax.block_until_ready([fit(keys) for fit in fits])

    return run
