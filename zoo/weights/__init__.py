"""Reading, writing, describing and publishing weights."""
