"""The page as a whole."""

from pathlib import Path

import gradio as gr

from zoo.demo.heads import head_tab
from zoo.demo.matting import image_tab, video_tab

NOTE = "Images stay on this machine. Weights other than the bundled ones are downloaded when they are first chosen."


def build_app(folder: Path) -> gr.Blocks:
    """Return the page.

    Args:
        folder: where results are written that the page offers as files.

    Example:
        >>> from tempfile import gettempdir
        >>> build_app(Path(gettempdir())).title
        'Ablation Zoo'
    """
    with gr.Blocks(title="Ablation Zoo", analytics_enabled=False) as app:
        gr.Markdown(f"# Ablation Zoo\n{NOTE}")
        with gr.Tab("Matte an image"):
            image_tab(folder)
        with gr.Tab("Matte a video"):
            video_tab(folder)
        with gr.Tab("3D heads"):
            head_tab(folder)
    return app


def theme() -> gr.Theme:
    """Return Gradio's theme with the fonts of the visitor's machine, so that nothing is loaded from elsewhere."""
    return gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
