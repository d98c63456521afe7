"""3D heads: from one image to a head mesh, its pose and 68 landmarks (DAD-3DNet, CVPR 2022)."""
