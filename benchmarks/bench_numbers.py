"""What the learner of numbers is worth: how far off it is beside the mean of what it learned, on rated texts.

Run: pip download --no-deps --no-binary :all: vaderSentiment==3.2.1
     python benchmarks/bench_numbers.py vaderSentiment-3.2.1.tar.gz       100, 300 and 1,000 answers, 5 seeds

The source archive (MIT) has the mean of some twenty people's ratings, from -4 to 4, of every text (Hutto and Gilbert,
ICWSM 2014). The answer that is learned is that mean, rounded to a tenth; the texts asked about are 1,000 others.
"""

from __future__ import annotations

import argparse
import csv
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from labelloop.kinds.numbers import Number
from labelloop.learners.backbones import backbone
from labelloop.learners.regression import NumberPredictor, fit
from labelloop.types import Inputs

FILES = {
    "reviews of goods": "hutto_ICWSM_2014/amazonReviewSnippets_GroundTruth.txt",
    "tweets": "hutto_ICWSM_2014/tweets_GroundTruth.txt",
    "reviews of films": "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt",
}
KIND = Number(-4, 4, 0.1)
SIZES, ASKED, SEEDS = (100, 300, 1000), 1000, 5
RESULTS = Path(__file__).parent / "results" / "numbers.csv"
FIELDS = ("corpus", "answers", "seed", "error", "error_of_mean", "sure", "right")


def main() -> None:
    """Embed, learn from each sample, write one row each, print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("archive", type=Path)
    options.add_argument("--output", type=Path, default=RESULTS)
    given = options.parse_args()
    rows = [row for name in FILES for row in played(name, *corpus(given.archive, name))]
    with given.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)
    show(rows)


def corpus(archive: Path, name: str) -> tuple[list[str], np.ndarray]:
    """Texts in an order of chance, and what people say of each."""
    with tarfile.open(archive) as parcel:
        inner = next(one for one in parcel if one.name.endswith("hutto_ICWSM_2014.tar.gz"))
        body = parcel.extractfile(inner)
        assert body is not None
        with tarfile.open(fileobj=io.BytesIO(body.read())) as found:
            file = found.extractfile(FILES[name])
            assert file is not None
            lines = file.read().decode("utf-8", "replace").splitlines()
    rows = [line.split("\t") for line in lines]
    unique = {row[2]: float(row[1]) for row in rows if len(row) > 2 and row[2].strip()}
    chosen = np.random.default_rng(7).permutation(len(unique))[: ASKED + 2 * SIZES[-1]]
    texts, means = list(unique), np.array(list(unique.values()))
    return [texts[row] for row in chosen], np.array([KIND.read(_region(means[row])) for row in chosen])


def _region(mean: float) -> tuple[dict[str, object]]:
    return ({"type": "number", "value": {"number": round(float(np.clip(mean, -4, 4)), 1)}},)


def played(name: str, texts: list[str], answers: np.ndarray) -> Iterator[dict[str, object]]:
    """A row for each size and seed."""
    reads = backbone("auto", "text")
    parts = (texts[start : start + 64] for start in range(0, len(texts), 64))
    features = np.concatenate([reads.embed([reads.prepare(text) for text in part]) for part in parts])
    asked, rest = np.arange(ASKED), np.arange(ASKED, len(texts))
    for seed in range(SEEDS):
        order = np.random.default_rng(seed).permutation(rest)
        for size in SIZES:
            known = np.sort(order[:size])
            predictor = NumberPredictor(KIND, fit(features[known].astype(np.float64), answers[known]))
            said = predictor.predict(Inputs(np.arange(ASKED).astype(str), features[asked]))
            given = np.array(said.answers, np.float64)
            yield {
                "corpus": name,
                "answers": size,
                "seed": seed,
                "error": f"{np.abs(given - answers[asked]).mean():.4f}",
                "error_of_mean": f"{np.abs(answers[known].mean() - answers[asked]).mean():.4f}",
                "sure": f"{said.confidence.mean():.4f}",
                "right": f"{(given == answers[asked]).mean():.4f}",
            }


def show(rows: list[dict[str, object]]) -> None:
    """The mean error with twice its standard error over the seeds."""
    print(f"answers: {KIND}")
    for name in FILES:
        for size in SIZES:
            some = [row for row in rows if row["corpus"] == name and row["answers"] == size]
            means = {key: np.array([float(str(row[key])) for row in some]) for key in FIELDS[3:]}
            near = 2 * means["error"].std(ddof=1) / np.sqrt(len(some))
            print(
                f"| {name} | {size} | {means['error'].mean():.3f} ± {near:.3f} | {means['error_of_mean'].mean():.3f} "
                f"| {means['sure'].mean():.3f} | {means['right'].mean():.3f} |"
            )


if __name__ == "__main__":
    main()
