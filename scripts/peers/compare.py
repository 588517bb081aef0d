"""Measures our workloads and those of the peers in turn, in one run, and reports the ratios.

One process of ours and one for each peer stay alive, idle while another measures. Each repetition
asks ours and at once the peer; their ratio is one number of a row, so that what slows the machine
down for a while slows both.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OURS = ROOT / "target/debug/workloads"
PEERS = {
    "torch-eager": ["torch_peer.py"],
    "torch-compile": ["torch_peer.py", "compile"],
    "jax": ["jax_peer.py"],
    "numpyro": ["numpyro_peer.py"],
    "pyro": ["pyro_peer.py"],
}
WORKS = [
    "W1_B100_S10",
    "W1_B1000_S1",
    "W1_B32_S1",
    "W2_batch1000",
    "W3_B100_K20",
    "W3_gap",
    "W4_K1000",
    "W4_K100000",
    "W5_B100",
    "W6_100x16_L10",
    "W7_24jobs",
]
# Workloads that only some of the peers run.
PEERS_OF = {"W3_gap": ["jax"]}
# Where ours writes the networks, observations and optima of W3_gap, which its peers read.
REFINEMENT_PROBLEM = ROOT / "target/peers-refinement.safetensors"
SAME = [
    "f32 networks, random weights of variance 1/inputs: decoder 50-200-200-784 tanh with Bernoulli"
    " pixels, encoder 784-200-200-100 tanh; pixels drawn from the decoder",
    "q is a diagonal Gaussian in (mean, log std); the entropy in an ELBO is exact; NumPyro and Pyro also"
    " take the expected prior in closed form, the others at the draws",
    "every datapoint and step has new independent normal draws, S of them",
    "W1, W3_B100: Adam at 1e-2, state for each parameter; the decoder's weights get no gradient",
    "W1: ours prepares its observations and begins at the prior in every run of 20 (W1_B32: 200)"
    " steps; peers go on where they were",
    "W2: encoder forward, 1000 points; W3_B100: encoder forward, then 20 steps with S=1, 100 points",
    "W3_gap: an encoder fitted for 3000 steps, forward, then a refinement to an equal mean gap to the optima of"
    " 100 new points, all numbers of the problem and the start the same; ours: an experiment's default"
    " (averaged Newton, 32 draws a step), 6 steps; JAX: the least time to an ELBO no lower than ours, over"
    " 1 to 16 draws a step (antithetic), exact entropy or path gradient, Adam (b1 0.9, 0.8) or SGD, five rates,"
    " constant or half cosine, the last iterate or the mean of the later half; the gaps and the setting are in"
    " the row's `reached`; tuning is not timed",
    "W4: log mean of the importance weights of one datapoint, q the prior; peers in chunks of 1000",
    "W5: decoder and encoder, minibatches of 100 out of 1000 points in a new order each pass, Adam at"
    " 1e-3; ours lets the rate fall to zero along a half cosine and begins with a new Adam every 100"
    " steps, peers keep both",
    "W6: annealed importance sampling from the prior to the joint, 100 datapoints with 16 chains each, 20"
    " temperatures at equal distances; at each one transition of HMC: new momenta, unit mass, 10 leapfrog"
    " steps of 0.05, one decision for each chain; value and gradient at a chain's point are carried over;"
    " ours begins at the prior in every run and shortens each trajectory's steps by up to a fifth, peers go"
    " on where the chains were; NumPyro (its HMC kernel, vmapped) and Pyro (its integrator, the"
    " decision by hand) have a value at every leapfrog step, the other peers at the last alone",
    "W7: 24 encoders 10-h-4 tanh (h = 1, 2, 4, ..., 128; 3 seeds), 300 steps of Adam at 1e-2, B=64,"
    " S=1, linear-Gaussian decoder 2-10; JAX and NumPyro fit the seeds of a width at once",
    "warm: what compiles has compiled before the clock starts; a measurement begins with a run that does"
    " not count, but for a peer whose latest run took 2 s or more",
    "factors of products: peers have f32 throughout; ours has bf16 factors and f32 sums in the gradients"
    " of W1 and W3 (both rows) and in the fits of W5 and W7 but for their last tenth and for networks of fewer than"
    " 1000 weights, and in the leapfrog steps of W6, where the processor has such products (`kernels` says"
    " so); W2 and W4 are f32, and so are the energies that W6 decides by",
    "W2: pixels are black and white; ours looks their sums up in tables",
    "one thread: every process is bound to one processor; more: to as many; ours divides datapoints,"
    " draws or fits among threads; in W5 the decoder takes its step while the encoder takes its own",
]


class BadRequest(Exception):
    """What was asked for cannot be done."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message):
        raise BadRequest(message)


class Process:
    """One that answers requests for measurements."""

    def __init__(self, command, n_threads):
        processors = sorted(os.sched_getaffinity(0))[-n_threads:]
        threads = str(n_threads)
        variables = {
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "PEERS_REFINEMENT_PROBLEM": str(REFINEMENT_PROBLEM),
            "JAX_PLATFORMS": "cpu",
            "CUDA_VISIBLE_DEVICES": "",
            "TORCHINDUCTOR_CACHE_DIR": str(ROOT / f"target/peers-inductor-{threads}"),
            "PYTHONWARNINGS": "ignore",
        }
        if n_threads == 1:
            variables["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **variables},
            preexec_fn=lambda: os.sched_setaffinity(0, processors),
        )
        self.about = self.read()

    def read(self):
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"error": "the process ended"}

    def measure(self, work, seconds):
        try:
            self.process.stdin.write(f"{work} {seconds}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return {"error": "the process ended"}
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def arguments():
    parser = Parser(prog="compare-peers", description=__doc__.splitlines()[0])
    parser.add_argument("--work", default="w", help="names or starts of names, e.g. w1,w4")
    parser.add_argument("--threads", default="1,2", help="numbers of threads, e.g. 1,2")
    parser.add_argument("--repetitions", type=int, default=5, help="pairs of measurements")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of each measurement")
    parser.add_argument("--out", type=Path, default=ROOT / "results/peers", help="folder to write to")
    parser.add_argument("--check", action="store_true", help="only check the other options")
    asked = parser.parse_args()
    asked.works = [name for name in WORKS if any(fits(name, part) for part in asked.work.split(","))]
    for part in asked.work.split(","):
        if not any(fits(name, part) for name in WORKS):
            raise BadRequest(f"no workload is named `{part}`; there are {', '.join(WORKS)}")
    there = len(os.sched_getaffinity(0))
    try:
        asked.threads = [int(part) for part in asked.threads.split(",")]
    except ValueError:
        raise BadRequest(f"--threads takes numbers such as 1,2, not `{asked.threads}`") from None
    if not all(1 <= n <= there for n in asked.threads):
        raise BadRequest(f"--threads takes 1 to {there}, as many processors as there are here")
    if asked.repetitions < 1 or not 0 < asked.seconds < 3600:
        raise BadRequest("--repetitions and --seconds take positive numbers")
    return asked


def fits(name, part):
    name, part = name.lower(), part.strip().lower()
    return part in ("w", name) or (part != "" and name.startswith(f"{part}_"))


def compare(asked, n_threads):
    """Rows of the table, what each process said of itself, and the threads that ours used."""
    ours = Process([str(OURS), "--threads", str(n_threads)], n_threads)
    peers = {}
    for name, (script, *options) in PEERS.items():
        peers[name] = Process([sys.executable, str(HERE / script), *options], n_threads)
    rows, threads_used = [], {}
    for work in asked.works:
        for name in PEERS_OF.get(work, PEERS):
            pairs, answer = [], peers[name].measure(work, 0)
            mine = ours.measure(work, 0)
            while len(pairs) < asked.repetitions and not ("error" in answer or "error" in mine):
                mine = ours.measure(work, asked.seconds)
                answer = peers[name].measure(work, asked.seconds)
                pairs.append((mine.get("per_second"), answer.get("per_second")))
            if "error" in answer or "error" in mine:
                said = answer.get("error", mine.get("error"))
                print(f"compare-peers: {work}, {name}, {n_threads} threads: {said}", file=sys.stderr)
                continue
            threads_used[work] = mine["threads_used"]
            rows.append(row(work, n_threads, name, mine["unit"], pairs))
            if answer.get("reached"):
                rows[-1]["reached"] = answer["reached"]
            print(line(rows[-1]), flush=True)
    about = [ours.about, *(peer.about for peer in peers.values())]
    for process in [ours, *peers.values()]:
        process.close()
    return rows, about, threads_used


def row(work, n_threads, peer, unit, pairs):
    ratios = [mine / other for mine, other in pairs]
    return {
        "work": work,
        "threads": n_threads,
        "peer": peer,
        "unit": unit,
        "peer_median": statistics.median(other for _, other in pairs),
        "ours_median": statistics.median(mine for mine, _ in pairs),
        "ratio_median": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
    }


HEADER = (
    f"{'work':<13} {'thr':>3} {'peer':<14} {'unit':<13} {'peer':>10} {'ours':>10}"
    f" {'ratio':>6} {'min':>6} {'max':>6}"
)


def line(row):
    text = (
        f"{row['work']:<13} {row['threads']:>3} {row['peer']:<14} {row['unit']:<13}"
        f" {row['peer_median']:>10.5g} {row['ours_median']:>10.5g} {row['ratio_median']:>6.2f}"
        f" {row['ratio_min']:>6.2f} {row['ratio_max']:>6.2f}"
    )
    reached = row.get("reached", {}).items()
    shown = [f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in reached]
    return f"{text}\n    {', '.join(shown)}" if shown else text


def provenance(asked, about, threads_used, load_before):
    def output(*command):
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        return done.stdout.strip() if done.returncode == 0 else None

    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(text.split(":", 1)[1].strip() for text in lines if text.startswith("model name"))
    except (OSError, StopIteration):
        cpu = platform.processor()
    changes = output("git", "status", "--porcelain", "--", "crates", "scripts", "Cargo.lock")
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": output("git", "rev-parse", "HEAD"),
        "uncommitted_changes": None if changes is None else changes != "",
        "rustc": output("rustc", "--version"),
        "platform": platform.platform(),
        "cpu": cpu,
        "processors": len(os.sched_getaffinity(0)),
        "load_average_before": load_before,
        "load_average_after": os.getloadavg(),
        "repetitions": asked.repetitions,
        "seconds_each": asked.seconds,
        "processes": about,
        "threads_used_by_ours": threads_used,
        "on_both_sides": SAME,
    }


def write(asked, rows, told):
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "peers.json").write_text(json.dumps(rows, indent=1) + "\n")
    (asked.out / "provenance.json").write_text(json.dumps(told, indent=1) + "\n")
    figure(rows, asked.out / "ratios.svg")


def figure(rows, path):
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    groups = sorted({row["threads"] for row in rows})
    works = [work for work in WORKS if any(row["work"] == work for row in rows)]
    _, axes = plt.subplots(
        1, len(groups), figsize=(5.5 * len(groups), 1.6 + 0.55 * len(works)), sharey=True, squeeze=False
    )
    for axis, n_threads in zip(axes[0], groups):
        for i, peer in enumerate(PEERS):
            own = [row for row in rows if row["peer"] == peer and row["threads"] == n_threads]
            if not own:
                continue
            middle = [row["ratio_median"] for row in own]
            below = [row["ratio_median"] - row["ratio_min"] for row in own]
            above = [row["ratio_max"] - row["ratio_median"] for row in own]
            heights = [works.index(row["work"]) + 0.14 * (i - 2) for row in own]
            axis.errorbar(
                middle, heights, xerr=[below, above], fmt="osD^v"[i], markersize=4, capsize=2, label=peer
            )
        axis.axvline(1, color="grey", linewidth=0.8)
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g×"))
        axis.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
        low, high = axis.get_xlim()
        base = 2 if high / low < 2**8 else 4  # so that labels do not overlap
        steps = [float(base) ** power for power in range(-4, 11)]
        axis.set_xticks([step for step in steps if low <= step <= high])
        axis.set_title("one thread" if n_threads == 1 else f"{n_threads} threads", fontsize=10)
        axis.set_xlabel("our speed / theirs: median, least and most of the pairs")
    axes[0][0].set_yticks(range(len(works)), works)
    axes[0][0].invert_yaxis()
    handles, labels = axes[0][0].get_legend_handles_labels()
    axes[0][-1].legend(handles, labels, fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    plt.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plt.close()


def main():
    try:
        asked = arguments()
    except BadRequest as refused:
        print(f"compare-peers: {refused}", file=sys.stderr)
        return 2
    if asked.check:
        return 0
    if "W3_gap" in asked.works:
        written = subprocess.run([str(OURS), "--write-refinement-problem", str(REFINEMENT_PROBLEM)])
        if written.returncode != 0:
            print("compare-peers: the problem of W3_gap could not be written; see above", file=sys.stderr)
            return 1
    load_before = os.getloadavg()
    rows, about, threads_used = [], [], {}
    print(HEADER)
    for n_threads in asked.threads:
        own_rows, about, threads_used[n_threads] = compare(asked, n_threads)
        rows += own_rows
        if rows:  # after each number of threads, so that an interrupted run leaves results
            write(asked, rows, provenance(asked, about, threads_used, load_before))
    if not rows:
        print("compare-peers: nothing could be measured", file=sys.stderr)
        return 1
    print(f"written: {asked.out}/peers.json, provenance.json, ratios.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
