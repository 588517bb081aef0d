"""What every peer shares: sizes, the numbers of the problem, and how it answers requests.

A peer introduces itself in one line of JSON, then answers each line `NAME SECONDS` with one more:
`{work, unit, per_second}` or `{error}`; a workload that others set a target for also says what it
`reached`. It is started with the variables that bound its threads.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

LATENT_DIM, HIDDEN, OBSERVED_DIM = 50, 200, 784
N_THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
LEARNING_RATE = 1e-2
TRAINING_RATE = 1e-3
TRAINING_SET = 1000

# Name: (unit, units per run, sizes), the same as in crates/gap-workloads/src/work.rs.
WORKS = {
    "W1_B100_S10": ("steps/s", 20, {"batch": 100, "n_samples": 10, "steps": 20}),
    "W1_B1000_S1": ("steps/s", 20, {"batch": 1000, "n_samples": 1, "steps": 20}),
    "W1_B32_S1": ("steps/s", 200, {"batch": 32, "n_samples": 1, "steps": 200}),
    "W2_batch1000": ("points/s", 1000, {"batch": 1000}),
    "W3_B100_K20": ("points/s", 100, {"batch": 100, "steps": 20}),
    "W3_gap": ("points/s", 100, {}),
    "W4_K1000": ("samples/s", 1000, {"n_samples": 1000}),
    "W4_K100000": ("samples/s", 100_000, {"n_samples": 100_000}),
    "W5_B100": ("steps/s", 100, {"batch": 100, "steps": 100}),
    "W6_100x16_L10": ("transitions/s", 20 * 1600, {"batch": 100, "chains": 16, "leapfrog_steps": 10}),
    "W7_24jobs": ("jobs/s", 24, {}),
}

# The inverse temperatures of a run of W6, and the step size of its leapfrog trajectories.
BETAS = [i / 20 for i in range(21)]
LEAPFROG_STEP = 0.05

# A workload whose latest run took at least so many seconds is measured without a warm-up run.
LONG_RUN = 2.0

SMALL_FIT_WIDTHS = [1, 2, 4, 8, 16, 32, 64, 128]
SMALL_FIT_SEEDS = 3
SMALL_FIT = {"steps": 300, "batch": 64, "points": 500, "noise_std": 0.3}


def weights(widths, seed):
    """Layers `(weight [in, out], bias [out])`: normal, of variance 1 / inputs."""
    draw = np.random.default_rng(seed)
    return [
        (
            (draw.standard_normal((inputs, outputs)) / np.sqrt(inputs)).astype(np.float32),
            np.zeros(outputs, np.float32),
        )
        for inputs, outputs in zip(widths, widths[1:])
    ]


def decoder_weights():
    return weights([LATENT_DIM, HIDDEN, HIDDEN, OBSERVED_DIM], 1)


def encoder_weights():
    return weights([OBSERVED_DIM, HIDDEN, HIDDEN, 2 * LATENT_DIM], 2)


def observations(batch):
    """Black and white pixels drawn from the decoder: `[B, X]`."""
    draw = np.random.default_rng(3)
    hidden = draw.standard_normal((batch, LATENT_DIM)).astype(np.float32)
    layers = decoder_weights()
    for weight, bias in layers[:-1]:
        hidden = np.tanh(hidden @ weight + bias)
    mean = 1 / (1 + np.exp(-(hidden @ layers[-1][0] + layers[-1][1])))
    return (draw.random(mean.shape) < mean).astype(np.float32)


def linear_gaussian():
    """Loadings `[2, 10]` of a small model and the observations `[500, 10]` drawn from it."""
    draw = np.random.default_rng(4)
    loadings = (draw.standard_normal((2, 10)) / np.sqrt(2)).astype(np.float32)
    points = SMALL_FIT["points"]
    noise = SMALL_FIT["noise_std"] * draw.standard_normal((points, 10))
    return loadings, (draw.standard_normal((points, 2)) @ loadings + noise).astype(np.float32)


def stored_problem():
    """The tensors, by name, of the file of safetensors with the problem of W3_gap, which our side wrote."""
    content = Path(os.environ["PEERS_REFINEMENT_PROBLEM"]).read_bytes()
    size = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    tensors = {}
    for name, tensor in header.items():
        if name != "__metadata__":
            start, end = tensor["data_offsets"]
            kind = {"F32": np.float32, "F64": np.float64}[tensor["dtype"]]
            tensors[name] = np.frombuffer(data[start:end], kind).reshape(tensor["shape"])
    return tensors


def stored_layers(tensors, network):
    """Layers `(weight [in, out], bias [out])` of a stored network."""
    n_layers = sum(name.startswith(f"{network}.") for name in tensors) // 2
    stored = [[tensors[f"{network}.{i}.{part}"] for part in ("weight", "bias")] for i in range(n_layers)]
    return [(weight.T.copy(), bias) for weight, bias in stored]


def serve(peer, versions, makers):
    """Answers requests until the input ends. `makers`: a name or its prefix -> f(**sizes) -> run()."""
    # Answers go to the original standard output; what libraries print is redirected to standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(answer):
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    say({"peer": peer, "versions": {"python": sys.version.split()[0], **versions}})
    ready = {}
    for line in sys.stdin:
        try:
            name, seconds = line.split()
            unit, units, sizes = WORKS[name]
            if name not in ready:
                ready[name] = Timed(makers.get(name, makers[name.split("_")[0]])(**sizes))
            per_second = units * ready[name].rate(float(seconds))
            reached = getattr(ready[name].run, "reached", None)
            say({"work": name, "unit": unit, "per_second": per_second, "reached": reached})
        except Exception as error:  # a peer that fails at one workload may be able to run the next
            say({"error": f"{type(error).__name__}: {str(error).splitlines()[:1]}"})


class Timed:
    """A workload and how long its latest run took."""

    def __init__(self, run):
        self.run = run
        self.latest = 0.0

    def rate(self, seconds):
        """Runs a second, over the whole runs that began within `seconds`.

        The first run of all compiles, and never counts.
        """
        # Cold caches would not change the time of a long run noticeably.
        if self.latest < LONG_RUN:
            self.timed()
        n_runs, passed = 0, 0.0
        while n_runs == 0 or passed < seconds:
            passed += self.timed()
            n_runs += 1
        return n_runs / passed

    def timed(self):
        start = time.perf_counter()
        self.run()
        self.latest = time.perf_counter() - start
        return self.latest
