"""LPIPS v0.0 and v0.1, bundled and offline."""
