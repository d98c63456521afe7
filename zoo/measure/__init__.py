"""Timing, memory, machine and environment: what studies and benchmarks record."""
