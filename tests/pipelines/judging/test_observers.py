"""Simulated observers answer by their metric, and what they were made of is found again."""

import numpy as np
import pytest

from bapps_gen.errors import UserError
from bapps_gen.manifests.dataset import open_dataset
from bapps_gen.manifests.scores import ScoreInfo, Scores
from bapps_gen.metrics.ceiling import human_ceiling, pairwise_agreement
from bapps_gen.pipelines.judging.alpha import krippendorff_alpha
from bapps_gen.pipelines.judging.filters import filter_votes
from bapps_gen.pipelines.judging.judge import tallies
from bapps_gen.pipelines.judging.options import ObserverOptions
from bapps_gen.pipelines.judging.study.observers import observe_dataset, observe_study
from bapps_gen.pipelines.judging.study.protocol import Protocol
from bapps_gen.pipelines.judging.study.study import make_study
from support.datasets import contents, make, photo, save_photo

ROWS = 400
QUIET = ObserverOptions(noise=0, lapse=0)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("observed")
    save_photo(folder / "photos" / "a.png", photo(1))
    assert make(folder / "photos", folder / "set", ROWS, "--shard-size", "500") == 0
    return open_dataset(folder / "set")


@pytest.fixture(scope="module")
def scores(dataset):
    rng = np.random.default_rng(0)
    ids = np.array([row["id"] for row in contents(dataset.folder)], object)
    info = ScoreInfo("made-up", 1, {}, dataset.info.digest)
    return Scores(info, ids, rng.uniform(0, 1, ROWS), rng.uniform(0, 1, ROWS))


def fractions(votes):
    counted = tallies(votes, "2afc")
    names = sorted(counted)
    return (
        np.array([counted[name].fraction for name in names]),
        np.array([counted[name].votes for name in names]),
    )


def test_without_noise_everybody_prefers_the_patch_that_is_closer(dataset, scores):
    votes = observe_dataset(dataset, scores, 3, QUIET)
    closer = {
        name: "p0" if d0 < d1 else "p1" for name, d0, d1 in zip(*_columns(scores), strict=True)
    }
    assert votes.num_rows == 3 * ROWS
    assert all(vote["answer"] == closer[vote["id"]] for vote in votes.to_pylist())
    assert human_ceiling(*fractions(votes)).pairwise == 1.0
    assert krippendorff_alpha(votes, ("p0", "p1")) == 1.0


def _columns(scores):
    return scores.ids, scores.d0, scores.d1


def test_votes_are_the_same_again_and_other_seeds_are_others(dataset, scores):
    votes = observe_dataset(dataset, scores, 2)
    assert votes.equals(observe_dataset(dataset, scores, 2))
    assert not votes.equals(observe_dataset(dataset, scores, 2, ObserverOptions(seed=1)))


def test_every_vote_on_a_row_is_of_another_person_and_says_that_it_is_simulated(dataset, scores):
    votes = observe_dataset(dataset, scores, 5, ObserverOptions(people=7))
    pairs = list(zip(votes["id"].to_pylist(), votes["person"].to_pylist(), strict=True))
    assert len(set(pairs)) == len(pairs) == 5 * ROWS
    assert set(votes["simulated"].to_pylist()) == {True}
    assert filter_votes(votes).left_out.keys() <= {"too fast"}


def test_people_take_several_sessions_of_large_sets_and_judge_no_row_twice(
    dataset, scores, monkeypatch
):
    monkeypatch.setattr("bapps_gen.pipelines.judging.study.observers.MAX_SESSION_ROWS", ROWS // 20)
    votes = observe_dataset(dataset, scores, 5, ObserverOptions(people=11))
    pairs = list(zip(votes["person"].to_pylist(), votes["row"].to_pylist(), strict=True))
    assert len(pairs) == len(set(pairs)) == 5 * ROWS
    assert len(set(votes["session"].to_pylist())) == 5 * 20
    assert len(set(votes["person"].to_pylist())) == 10


@pytest.mark.parametrize("noise", [0.05, 0.2, 0.5])
def test_the_noise_that_people_were_made_with_is_recovered(dataset, scores, noise):
    """The agreement of two people follows from the noise by the model's own formula."""
    from scipy.stats import norm

    votes = observe_dataset(dataset, scores, 6, ObserverOptions(noise=noise, lapse=0))
    prefer = norm.cdf((scores.d0 - scores.d1) / noise)
    ceiling = human_ceiling(*fractions(votes))
    expected = float(np.mean(prefer**2 + (1 - prefer) ** 2))
    low, high = ceiling.interval
    assert low - 0.01 <= expected <= high + 0.01
    assert ceiling.paper > ceiling.pairwise


def test_chance_has_the_ceiling_of_chance_only_with_one_vote_left_out(dataset, scores):
    for judgments, paper in ((2, 0.75), (3, 2 / 3), (5, 0.6)):
        options = ObserverOptions(lapse=1, seed=5)
        fraction, count = fractions(observe_dataset(dataset, scores, judgments, options))
        ceiling = human_ceiling(fraction, count)
        assert ceiling.paper == pytest.approx(paper, abs=0.03)
        assert ceiling.pairwise == pytest.approx(0.5, abs=0.05)


def test_the_ceiling_is_unbiased_whatever_the_number_of_votes():
    rng = np.random.default_rng(1)
    for prefer in (0.5, 0.7, 0.95):
        for count in (2, 3, 5, 20):
            one = rng.binomial(count, prefer, 40_000)
            mean = pairwise_agreement(one / count, np.full(len(one), count)).mean()
            assert mean == pytest.approx(prefer**2 + (1 - prefer) ** 2, abs=0.01)
    assert np.isnan(pairwise_agreement([1.0], [1])).all()


def test_a_bias_toward_the_left_is_seen(dataset, scores):
    votes = observe_dataset(dataset, scores, 4, ObserverOptions(bias=0.4)).to_pylist()
    assert np.mean([vote["answer"] == vote["left"] for vote in votes]) > 0.65


def test_careless_people_fail_the_sentinels_of_a_study(dataset, scores, tmp_path):
    study = make_study(tmp_path / "study", [dataset], Protocol(task="2afc", judgments=2))
    scored = {dataset.info.digest: scores}
    careful = observe_study(study, scored, ObserverOptions(lapse=0))
    assert careful.num_rows == study.info.trials
    assert set(filter_votes(careful).left_out) <= {"sentinel", "too fast"}
    careless = observe_study(study, scored, ObserverOptions(careless=1))
    assert filter_votes(careless).kept.num_rows == 0
    with pytest.raises(UserError, match="set has no distances; score it first"):
        observe_study(study, {})


def test_more_judgments_than_people_are_refused(dataset, scores):
    with pytest.raises(UserError, match="people = 2 is less than the 3 judgments of each row"):
        observe_dataset(dataset, scores, 3, ObserverOptions(people=2))
    with pytest.raises(UserError, match=r"lapse = 2\.0 is not allowed"):
        ObserverOptions(lapse=2)


def test_a_narrower_interval_takes_more_rows(dataset, scores):
    ceiling = human_ceiling(*fractions(observe_dataset(dataset, scores, 3)))
    low, high = ceiling.interval
    assert ceiling.rows_for(high - low) == ceiling.rows
    assert ceiling.rows_for((high - low) / 2) == 4 * ceiling.rows
    assert human_ceiling([np.nan, 1.0], [0, 1]) is None
