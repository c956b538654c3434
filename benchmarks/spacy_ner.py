"""What `bench_spans.py` runs with a Python that has spaCy: its blank `ner` pipeline, learned and asked.

Reads from standard input, as JSON, texts to learn from with their spans, and texts to be asked about; writes the spans
of these after every few epochs. The words are the corpus' own, so that every span lies on words.
"""

import json
import random
import sys

import numpy
import spacy
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import compounding, fix_random_seed, minibatch


def main() -> None:
    """Learn, and ask after every `every` epochs."""
    job = json.load(sys.stdin)
    fix_random_seed(job["seed"])
    nlp = spacy.blank("en")
    nlp.add_pipe("ner")
    examples = [
        Example.from_dict(document(nlp, text), {"entities": [tuple(span) for span in spans]})
        for text, spans in job["known"]
    ]
    optimizer = nlp.initialize(lambda: examples)
    order, found = random.Random(job["seed"]), []
    sizes = compounding(4.0, 32.0, 1.001)
    for epoch in range(1, job["epochs"] + 1):
        order.shuffle(examples)
        for batch in minibatch(examples, size=sizes):
            nlp.update(batch, sgd=optimizer, drop=job["dropout"])
        if epoch % job["every"] == 0:
            asked = nlp.pipe(document(nlp, text) for text in job["asked"])
            found.append([[(one.start_char, one.end_char, one.label_) for one in said.ents] for said in asked])
    json.dump({"version": spacy.__version__, "spans": found}, sys.stdout)


def document(nlp: spacy.Language, text: str) -> Doc:
    """A text of words that are parted by one space."""
    return Doc(nlp.vocab, words=text.split(" "))


if __name__ == "__main__":
    numpy.seterr(all="ignore")
    main()
