"""One file for each command of `zoo` that is not Lightning's own; none imports torch before it must."""
