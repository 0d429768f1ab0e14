"""What providers POST to us: one module each, with the verifier of its signature and the parser of its words."""
