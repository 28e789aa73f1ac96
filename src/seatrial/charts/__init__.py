"""Pictures as Altair specs, one function a picture: plain values in, a chart out; ``save`` turns it into SVG or PNG."""
