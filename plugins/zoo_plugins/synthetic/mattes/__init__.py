"""Cut-outs with exact alpha: a person or a thing, rendered as a premultiplied layer."""
