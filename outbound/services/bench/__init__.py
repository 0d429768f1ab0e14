"""What `outbound bench` measures inside the service; benches that need servers live in the test kit."""
