"""Photos in: ordered lists of images, each with a fingerprint."""
