"""Open a page in the browser that mattes images and videos and finds heads.

It is served to this machine only, unless --host says otherwise. Needs the extra `[demo]`. Ctrl-C ends it.
"""

import argparse

LARGEST = "50mb"
"""Of an uploaded file."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--host",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="address to listen at; 0.0.0.0 serves everybody in the network, without a password (default: 127.0.0.1)",
    )
    parser.add_argument("--port", metavar="N", type=int, help="port (default: the first free one from 7860)")
    parser.add_argument("--no-browser", action="store_true", help="do not open the browser")


def run(arguments: argparse.Namespace) -> int:
    """Serve the page until it is interrupted; return 0.

    Raises:
        ZooError: the extra is missing, or the port is taken.
    """
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from zoo.core.errors import ZooError

    try:
        from zoo.demo.app import build_app, theme
    except ModuleNotFoundError as error:
        raise ZooError(f"the demo needs {error.name}: pip install 'ablation-zoo[demo]'.") from error
    with TemporaryDirectory(prefix="zoo-demo-") as folder:
        app = build_app(Path(folder))
        try:
            _, address, _ = app.launch(
                prevent_thread_lock=True,
                server_name=arguments.host,
                server_port=arguments.port,
                inbrowser=not arguments.no_browser,
                max_file_size=LARGEST,
                allowed_paths=[folder],
                footer_links=[],
                quiet=True,
                theme=theme(),
            )
        except (OSError, OverflowError) as error:
            raise ZooError(f"port {arguments.port or 7860} of {arguments.host} cannot be used: {error}.") from error
        print(f"The demo is at {address}; Ctrl-C ends it.", flush=True)
        app.block_thread()
    return 0
