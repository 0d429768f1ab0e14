"""One module or folder per adapter. Each knows one provider and the vocabulary, nothing else."""
