//! An LLM provider for demos and tests: latency, faults, usage, and its own bill.
