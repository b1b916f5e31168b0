"""The views of the results screen, one a file: each a ``draw(shown)`` that draws what the analysis gives."""
