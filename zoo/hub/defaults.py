"""The weights that commands and demo take where none are named. They come with the package and work offline."""

MATTING = "bgmv2_mobilenetv2-synthetic"

MATTING_WITHOUT_BACKGROUND = "bgmv2_guided_lite0-synthetic"

HEADS = "dad3dnet_facemesh-synthetic"
