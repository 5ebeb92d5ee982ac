"""A user's own distortions, from a file or an entry point."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from bapps_gen.distortions.definition import Patch
from bapps_gen.distortions.registry import load_registry
from bapps_gen.distortions.steps import parse_step
from bapps_gen.errors import UserError

PLUGIN = """
    import numpy as np
    from bapps_gen.distortions import Distortion, RandomParameter, SeverityParameter

    def posterize(patch, params, rng):
        step = params["step"]
        if step == 1:
            return patch.copy()
        offset = rng.integers(0, 2)
        return np.clip(np.round(patch / step) * step + offset, 0, 255).astype(np.uint8)

    STEP = SeverityParameter(name="step", unit="levels", identity=1.0, range=((8.0, 64.0),),
                  allowed=(1.0, 128.0), summary="distance between levels")

    DISTORTIONS = [
        Distortion(name="posterize", version=3, family="own", summary="fewer levels",
                   parameters=(STEP,), function=posterize),
    ]
"""


def write(folder: Path, text: str, name: str = "my_distortions.py") -> str:
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return str(path)


def test_a_file_adds_its_distortions_after_the_built_in_ones(
    tmp_path: Path, photos: list[Patch]
) -> None:
    registry = load_registry([write(tmp_path, PLUGIN)])
    assert len(registry.ids) == 329
    assert registry.ids[-1] == "posterize"
    assert registry.ids[:328] == load_registry().ids
    assert registry.atom("posterize").version == 3
    out = parse_step("posterize:step=50", registry).apply(photos[0])
    assert len(np.unique(out)) <= 6


def test_a_plugin_distortion_composes_with_built_in_ones(tmp_path: Path) -> None:
    registry = load_registry([write(tmp_path, PLUGIN)])
    for distortion_id in ("posterize+jpeg", "pink+posterize"):
        members = registry.members(distortion_id)
        assert "+".join(member.name for member in members) == distortion_id
    with pytest.raises(UserError, match="'posterize\\+posterize' is not one of"):
        registry.members("posterize+posterize")


def test_two_files_of_one_name_live_together(tmp_path: Path) -> None:
    for folder, name in (("a", "posterize"), ("b", "other")):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, PLUGIN.replace('name="posterize"', f'name="{name}"'))
    paths = [str(tmp_path / folder / "my_distortions.py") for folder in ("a", "b")]
    assert load_registry(paths).ids[-2:] == ("posterize", "other")


@pytest.mark.parametrize("whole_module", [True, False])
def test_an_installed_entry_point_is_found_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole_module: bool
) -> None:
    module = f"installed_distortions_{whole_module}".lower()
    write(tmp_path, PLUGIN, f"{module}.py")
    metadata = tmp_path / "poster-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: poster\nVersion: 1.0\n")
    target = module if whole_module else f"{module}:DISTORTIONS"
    (metadata / "entry_points.txt").write_text(f"[bapps_gen.distortions]\nposter = {target}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        assert load_registry(["poster"]).ids[-1] == "posterize"
        with pytest.raises(UserError, match="unknown plugin 'postr'; did you mean 'poster'"):
            load_registry(["postr"])
    finally:
        sys.modules.pop(module, None)


BODY = 'params["step"]\n        if step == 1:\n            return patch.copy()'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("def posterize(", "def posterize((", r"line \d+: "),
        ("import numpy as np", "import no_such_package", "line 2: ModuleNotFoundError: No module"),
        ("import numpy as np", "raise SystemExit('bye')", "line 2: SystemExit: bye"),
        ("DISTORTIONS =", "DISTORTION =", "it defines no DISTORTIONS; add"),
        ("DISTORTIONS = [", "DISTORTIONS = [3,", "holds a value of type int"),
        (
            "DISTORTIONS = [",
            "DISTORTIONS = {}; _ = [",
            "must be a list .* not a value of type dict",
        ),
        ("DISTORTIONS = [", "DISTORTIONS = []; _ = [", "must be a list of at least one"),
        ("version=3", "version=0", "posterize: version = 0 is not allowed"),
        ("version=3", "version='3'", "posterize: version is of type str"),
        ('name="posterize"', 'name="Poster ize"', "name 'Poster ize' is not allowed"),
        ("(8.0, 64.0)", "(80.0, 64.0)", r"line \d+: parameter step: the mild end 80"),
        ("(STEP,)", "(STEP, STEP)", "posterize: two parameters have one name"),
        (".astype(np.uint8)", "", "returned an array of float64 of shape"),
        (".astype(np.uint8)", ".astype(np.uint8)[:5]", r"of shape \(5, 24, 3\) for an image"),
        (".astype(np.uint8)", ".astype(np.uint8).tolist()", "returned a value of type list"),
        ("patch / step", "patch / undefined", r"failed on a trial image: line 10: NameError"),
        (BODY, 'params["step"]\n        patch[0] = 0', "writes into its input"),
        ("return patch.copy()", "return patch", "returned its input or a view"),
        (
            "return patch.copy()",
            "return patch ^ 1",
            "changes the image at severity 0; .*has_identity=False",
        ),
        (
            "rng.integers(0, 2)",
            "np.random.default_rng().integers(9, size=patch.shape)",
            "gave two different results",
        ),
        ('name="posterize"', 'name="jpeg"', "the name 'jpeg' is already built in"),
    ],
)
def test_a_faulty_plugin_is_named_on_one_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in PLUGIN
    path = write(tmp_path, PLUGIN.replace(old, new))
    with pytest.raises(UserError, match=message) as caught:
        load_registry([path])
    assert path in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"plugin .*none\.py: no such file"):
        load_registry([str(tmp_path / "none.py")])


def test_a_name_in_two_plugins_is_refused(tmp_path: Path) -> None:
    first, second = write(tmp_path, PLUGIN), write(tmp_path, PLUGIN, "again.py")
    with pytest.raises(UserError, match=r"again\.py: the name 'posterize' is already defined by"):
        load_registry([first, second])


def test_a_distortion_without_parameters_works(tmp_path: Path, photos: list[Patch]) -> None:
    text = """
        from bapps_gen.distortions import Distortion
        def negative(patch, params, rng):
            return 255 - patch
        DISTORTIONS = [Distortion("negative", 1, "own", "", (), negative, has_identity=False)]
    """
    registry = load_registry([write(tmp_path, text)])
    assert np.array_equal(parse_step("negative", registry).apply(photos[0]), 255 - photos[0])
