"""Perceptual metrics trained on judged sets: the linear weights of LPIPS, or its trunk, too."""
