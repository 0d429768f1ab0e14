"""Arguments in, text out: the command line, HTTP and the pages."""
