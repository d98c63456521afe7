"""A page in the browser that mattes images and videos and finds heads, for the extra `[demo]`."""
