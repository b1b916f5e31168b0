"""One deed a file; the screens and the command line call the same ones."""
