"""Background matting: BackgroundMattingV2 (Lin et al., CVPR 2021, arXiv 2012.07810) as a combination of parts."""
