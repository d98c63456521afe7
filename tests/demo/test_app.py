"""The page in the browser: what it computes, and that it can be used."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from skimage.data import astronaut

from zoo.media.images import read_image, write_image

gradio = pytest.importorskip("gradio")
client = pytest.importorskip("gradio_client")

MATTING, HEADS = "bgmv2_mobilenetv2-synthetic", "dad3dnet_facemesh-synthetic"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The page, served for the tests of this file."""
    from zoo.demo.app import build_app, theme

    with TemporaryDirectory() as folder:
        os.environ["GRADIO_TEMP_DIR"] = f"{folder}/cache"
        app = build_app(Path(folder))
        _, address, _ = app.launch(prevent_thread_lock=True, quiet=True, allowed_paths=[folder], theme=theme())
        yield address
        app.close()
        del os.environ["GRADIO_TEMP_DIR"]


@pytest.fixture(scope="module")
def ask(address: str) -> Any:
    """Return a function that asks one of the page's functions, as the page does."""
    return client.Client(address, verbose=False).predict


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """An image with a bright square in a dim place, and the place."""
    place = np.random.default_rng(0).integers(60, 90, (96, 128, 3)).astype(np.uint8)
    image = place.copy()
    image[24:72, 40:88] = 230
    return write_image(tmp_path / "image.png", image), write_image(tmp_path / "place.png", place)


def test_a_matte_and_its_cut_out_have_the_size_of_the_image(ask: Any, pair: tuple[Path, Path]) -> None:
    files = [client.handle_file(str(path)) for path in pair]
    slider, alpha, error, refined, cut_out = ask(*files, MATTING, "rgba(255, 0, 0, 1)", None, api_name="/matte")
    assert {read_image(file).shape for file in (*slider, alpha, error)} == {(96, 128, 3)}
    assert read_image(refined).ndim == 3
    cut = read_image(cut_out, "RGBA")
    assert cut.shape == (96, 128, 4)
    assert cut[48, 64, 3] > 200 > 50 > cut[4, 4, 3]
    red = read_image(slider[1])[4, 4]
    assert red[0] > 200 > 60 > red[1]


def test_without_a_background_a_person_is_found(ask: Any, tmp_path: Path) -> None:
    image = client.handle_file(str(write_image(tmp_path / "astronaut.png", astronaut())))
    _, alpha, *_ = ask(image, None, "", "#78ff9b", None, api_name="/matte")
    found = read_image(alpha)
    assert found[400, 220].min() > 200 > 50 > found[20, 20].max()


def test_heads_have_pose_mesh_and_files(ask: Any, tmp_path: Path) -> None:
    image = client.handle_file(str(write_image(tmp_path / "astronaut.png", astronaut())))
    overlay, mesh, table, files = ask(image, HEADS, True, api_name="/heads")
    assert read_image(overlay).shape == (512, 512, 3)
    assert Path(mesh).suffix == ".glb"
    ((_, score, *angles),) = table["data"]
    assert score > 0.5
    assert max(map(abs, angles)) < 20
    assert [Path(file).name for file in files] == ["head_obj.obj", "head_json.json", "head_landmarks.json"]


def test_bad_input_is_one_sentence(ask: Any, pair: tuple[Path, Path], tmp_path: Path) -> None:
    image, place = (client.handle_file(str(path)) for path in pair)
    with pytest.raises(Exception, match="this model needs the captured background: give"):
        ask(image, None, MATTING, "#78ff9b", None, api_name="/matte")
    with pytest.raises(Exception, match="have the same pixels, so that nobody is in front of it"):
        ask(place, place, MATTING, "#78ff9b", None, api_name="/matte")
    with pytest.raises(Exception, match="no face was found"):
        ask(place, HEADS, False, api_name="/heads")


def test_a_port_that_is_taken_is_one_sentence(command: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        outcome = command("demo", "--no-browser", f"--port={port}")
    assert outcome.code == 1
    assert f"port {port} of 127.0.0.1 cannot be used" in outcome.complaint


@pytest.mark.slow
def test_a_visitor_uploads_two_images_and_sees_the_matte(address: str, pair: tuple[Path, Path], chromium: str) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(120_000)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        for place, path in enumerate(pair):
            page.locator("[role=tabpanel]:visible input[type=file]").nth(place).set_input_files(path)
            page.locator(f"img[src*='{path.name}']").wait_for()
        page.get_by_role("button", name="Matte", exact=True).click()
        page.locator("a[href*='image.png'][download]").last.wait_for()
        images = page.locator("[role=tabpanel]:visible img").evaluate_all("all => all.map(image => image.naturalWidth)")
        assert images.count(128) >= 7, "two inputs, both sides of the slider, alpha, error, patches"
        elsewhere = [url for url in asked if not url.startswith((address, "data:", "blob:"))]
        assert not elsewhere
        browser.close()
