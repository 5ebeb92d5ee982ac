"""A collection of three small sets, described."""


def small_collection(train_rows: int) -> str:
    """TOML of a set for training and two for validation, of traditional distortions."""
    return f"""
[[set]]
path = "2afc/train/noise"
kind = "traditional"
rows = {train_rows}
families = ["noise"]

[[set]]
path = "2afc/val/jpegs"
kind = "traditional"
rows = 8
atoms = ["jpeg"]
severity = [0.5, 1.0]

[[set]]
path = "jnd/val/noise"
kind = "jnd-traditional"
rows = 6
"""
