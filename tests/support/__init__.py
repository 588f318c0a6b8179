"""What the end-to-end tests share: processes, the admin API, the fake provider's bill, waiting for a state."""
