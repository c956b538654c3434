"""A CoNLL file is read as texts with spans, whatever its columns and its scheme are; what is none is named."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest

from labelloop.cli import main
from labelloop.commands.add import Added, add_items
from labelloop.data import conll
from labelloop.data.conll import Sentence
from labelloop.data.noticed import Noticed
from labelloop.data.sources import Columns, Unreadable, read_changed
from labelloop.data.text_files import BrokenRow, Table
from labelloop.errors import ConfigError, NotFoundError
from labelloop.ledger import open_ledger
from labelloop.types import NewItem

NEWS = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O
German JJ B-NP B-MISC
call NN I-NP O
. . O O

Peter NNP B-NP B-PER
Blackburn NNP I-NP I-PER

"""
READ = [
    ("EU rejects German call .", ((0, 2, "ORG"), (11, 17, "MISC"))),
    ("Peter Blackburn", ((0, 15, "PER"),)),
]


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def said(sentences: Sequence[Sentence]) -> list[tuple[str, tuple[tuple[int, int, str], ...]]]:
    return [(one.text, one.spans) for one in sentences]


def items(where: Path, columns: Columns | None = None) -> tuple[list[NewItem], list[Unreadable], Noticed]:
    noticed = Noticed()
    found = list(read_changed(str(where), "text", lambda seen: {}, columns, noticed=noticed))
    news = [one for one in found if isinstance(one, NewItem)]
    return news, [one for one in found if isinstance(one, Unreadable)], noticed


def refused(path: Path) -> str:
    """Why a file is refused, which reading it and adding it say alike."""
    with pytest.raises(ConfigError) as failed:
        conll.read(path)
    news, bad, _ = items(path)
    assert failed.value.message.startswith(f"{bad[0].where}: {bad[0].reason}")
    assert news == [] or bad[0].where != path.name, "a file is refused as a whole"
    return failed.value.message


def test_texts_spans_and_places_of_tokens_are_read(tmp_path: Path) -> None:
    first, second = conll.read(written(tmp_path / "news.conll", NEWS))

    assert said([first, second]) == READ
    assert [first.text[start:end] for start, end in first.places] == ["EU", "rejects", "German", "call", "."]
    assert first.tags == ["B-ORG", "O", "B-MISC", "O", "O"]
    assert (first.place, second.place) == ("line 3", "line 9")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n\n", "\n \t \n"),
        lambda text: text.replace("\n\n", "\n\u00a0\n"),
        lambda text: text.replace(" ", "\t"),
        lambda text: text.replace(" ", " \t "),
        lambda text: text.replace(" ", "   "),
        lambda text: text.replace("\n", "  \n"),
        lambda text: text.strip(),
        lambda text: "\n\n\n" + text.replace("\n\n", "\n\n\n\n"),
        lambda text: text.replace("B-PER", "I-PER").replace("B-ORG", "I-ORG"),
        lambda text: text.replace("B-PER\nBlackburn NNP I-NP I-PER", "B-PER\nBlackburn NNP I-NP L-PER"),
        lambda text: text.replace("EU NNP", "# sent_id = 1\n# text = EU rejects\nEU NNP"),
        lambda text: text.replace("-DOCSTART- -X- -X- O", "#begin document (news); part 000"),
        lambda text: text + "\ufeff" + "\n",
    ],
)
def test_what_tools_and_systems_make_of_a_file_is_read_the_same(change: object, tmp_path: Path) -> None:
    assert callable(change)

    assert said(conll.read(written(tmp_path / "news.conll", change(NEWS)))) == READ


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_emoji_cjk_and_marks_are_counted_as_python_counts(encoding: str, tmp_path: Path) -> None:
    body = "👩\u200d🚀\tO\n東京\tB-LOC\ne\u0301te\u0301\tB-TIME\n\n"

    (only,) = conll.read(written(tmp_path / "odd.iob", body, encoding))

    assert [only.text[start:end] for start, end, _ in only.spans] == ["東京", "e\u0301te\u0301"]


def test_a_token_with_blanks_inside_is_several(tmp_path: Path) -> None:
    (only,) = conll.read(written(tmp_path / "a.bio", "in\tO\nNew  York\tB-LOC\ntoday\tO\n"))

    assert (only.text, only.spans) == ("in New York today", ((3, 11, "LOC"),))
    assert only.tags == ["O", "B-LOC", "I-LOC", "O"]


def test_a_sign_that_may_begin_a_comment_is_a_token_inside_of_a_sentence(tmp_path: Path) -> None:
    body = "# O\n1 B-NUM\n# O\n"

    (only,) = conll.read(written(tmp_path / "a.bio", body))

    assert only.text == "# 1 #"


def test_ids_of_comments_are_kept(tmp_path: Path) -> None:
    body = "# id = a-7\n# held_out = true\nPeter\tB-PER\n\nslept\tO\n\n# sent_id = weblog 9\nO\tO\n"

    assert [one.id for one in conll.read(written(tmp_path / "a.conll", body))] == ["a-7", "", "weblog 9"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (NEWS.replace("call NN I-NP O", "call NN O"), "a.conll line 6: has 3 column(s), most lines have 4"),
        (NEWS.replace("call NN I-NP O", "call"), "a.conll line 6: has 1 column(s), most lines have 4"),
        (NEWS.replace("call NN", "phone call NN"), "a.conll line 6: has 5 column(s), most lines have 4"),
        (NEWS.replace("B-ORG", "X-ORG"), "a.conll line 3: 'X-ORG' is no tag, such as O or B-PER"),
        (NEWS.replace("I-PER", "PER"), "a.conll line 10: 'PER' is no tag"),
        (NEWS.replace(". . O O", ". . O 0"), "a.conll line 7: '0' is no tag"),
        ("", "a.conll: has no sentence"),
        ("\n \n-DOCSTART- -X- O\n", "a.conll: has no sentence"),
        (
            "The cat sat.\nIt was a fine day\nwe said.\n",
            "a.conll: is no CoNLL: in 3 of 3 lines the last column is no tag",
        ),
        (
            "EU\nrejects\nGerman\n",
            "a.conll: is no CoNLL: its lines have one column, not a token and its tag; line 1 is 'EU'",
        ),
        ('{"text": "a cat"}\n{"text": "O"}\n', "a.conll: is no CoNLL"),
        ("1\tEU\tEU\tPROPN\t_\n2\trejects\treject\tVERB\t_\n", "a.conll: is no CoNLL: in 2 of 2 lines"),
        ("a\tO\n" * 1_000, "a.conll line 1: begins a sentence of more than 100 characters"),
    ],
)
def test_bad_input_is_named_with_its_line(text: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conll, "LONGEST", 100)

    assert refused(written(tmp_path / "a.conll", text)).startswith(why)


def test_a_broken_sentence_is_left_out_by_add_and_the_others_are_taken(tmp_path: Path) -> None:
    broken = NEWS.replace("call NN I-NP O", "call") + NEWS

    news, bad, _ = items(written(tmp_path / "a.conll", broken))

    assert [one.item.text for one in news] == ["Peter Blackburn", READ[0][0], "Peter Blackburn"]
    assert [(one.where, one.reason) for one in bad] == [("a.conll line 6", "has 1 column(s), most lines have 4")]


def test_another_encoding_is_refused_until_it_is_given(tmp_path: Path) -> None:
    path = written(tmp_path / "a.conll", "der O\nHund O\nschläft O\nin O\nKöln B-LOC\nüber O\nNacht O\n", "cp1252")

    with pytest.raises(ConfigError, match=r"is not UTF-8.*give its encoding"):
        conll.read(path)
    (only,) = conll.read(path, "cp1252")
    (news,), _, _ = items(path, Columns(encoding="cp1252"))
    _, bad, noticed = items(path)

    assert only.text == news.item.text == "der Hund schläft in Köln über Nacht"
    assert (bad, list(noticed.guessed)) == ([], ["a.conll"])


def test_no_file_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        conll.read(tmp_path / "none.conll")


def test_a_packed_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "news.conll.gz"
    path.write_bytes(gzip.compress(NEWS.encode()))

    assert said(conll.read(path)) == READ
    assert len(items(path)[0]) == 2


def test_a_million_lines_are_streamed(tmp_path: Path) -> None:
    path = tmp_path / "large.conll"
    with path.open("w") as file:
        for number in range(100_000):
            file.write(f"EU O\nrejects O\nGerman B-MISC\ncall O\nnumber O\n{number} O\nof O\nthe O\nday O\n\n")

    tracemalloc.start()
    found = conll.sentences(Table(path.name, lambda: path.open("rb")))
    count = sum(isinstance(one, Sentence) for one in found)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert count == 100_000
    assert peak < 16 << 20


def test_a_million_lines_without_a_blank_one_are_not_held(tmp_path: Path) -> None:
    path = tmp_path / "endless.conll"
    path.write_text("EU O\n" * 1_000_000 + "\nPeter B-PER\n")

    tracemalloc.start()
    first, second = conll.sentences(Table(path.name, lambda: path.open("rb")))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert isinstance(first, BrokenRow)
    assert isinstance(second, Sentence)
    assert peak < 96 << 20


def added(tmp_path: Path, place: Path, columns: Columns | None = None) -> Added:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "news")
    return add_items(ledger, [str(place)], "text", columns or Columns())


def test_add_takes_the_sentences_and_says_that_their_tags_are_nobodys_answers(tmp_path: Path) -> None:
    taken = added(tmp_path, written(tmp_path / "news.conll", NEWS))

    assert (taken.new, taken.unreadable) == (2, ())
    assert (
        "the tags of news.conll mark 3 span(s) (1 MISC, 1 ORG, 1 PER): they are kept beside the items, and are nobody's"
        " answer" in taken.in_words(dry_run=False)
    )
    assert taken.as_dict()["label_columns"] == [
        {"table": "news.conll", "column": "tags", "labels": {"ORG": 1, "MISC": 1, "PER": 1}}
    ]
    assert added(tmp_path, tmp_path / "news.conll").new == 0


def test_the_tags_stay_beside_the_item(tmp_path: Path) -> None:
    (first, second), _, _ = items(written(tmp_path / "news.conll", NEWS))

    assert first.item.meta == {"tags": ["B-ORG", "O", "B-MISC", "O", "O"]}
    assert first.item.id == first.item.digest
    assert second.item.meta == {"tags": ["B-PER", "I-PER"]}


def test_a_text_file_is_conll_where_one_says_so_only(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    path = written(folder / "ner.txt", NEWS)

    plain, _, _ = items(path)
    tagged, _, _ = items(path, Columns(conll=True))
    of_folder, _, _ = items(folder, Columns(conll=True))

    assert [one.item.text for one in plain] == [NEWS]
    assert [one.item.text for one in tagged] == [one.item.text for one in of_folder] == [text for text, _ in READ]


def test_a_folder_says_how_its_conll_files_are_read(tmp_path: Path) -> None:
    written(tmp_path / "news.conll", NEWS)
    written(tmp_path / "note.txt", "a note")

    _, _, noticed = items(tmp_path)

    assert "1 .conll (sentences with tags: name the file itself, or as a glob)" in noticed.sorts()


def test_ids_of_the_file_may_be_the_items(tmp_path: Path) -> None:
    path = written(tmp_path / "a.conll", "# id = a-7\nPeter B-PER\n\n# id = a-8\nslept O\n")

    assert [one.item.id for one in items(path, Columns(id="id"))[0]] == ["a-7", "a-8"]


def test_the_command_takes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "labelloop.toml").write_text('[dataset]\nname = "n"\nmodality = "text"\nlabels = ["a", "b"]\n')
    path = written(tmp_path / "ner.txt", NEWS)

    with pytest.raises(SystemExit) as ended:
        main(["-C", str(tmp_path), "add", "--conll", str(path)])

    assert ended.value.code == 0
    assert "2 new item(s)" in capsys.readouterr().out
