"""The API under ``/api/v1``: what other systems tell, ask and start. The same services as the command line."""
