"""Shapes, colours, textures, layers and backgrounds: everything that mattes and heads share."""
