"""Images and video, read and written safely; no task knows a codec."""
