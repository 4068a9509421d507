"""The trainer of linear softmax probes: together as alone, at the optimum that scikit-learn finds, whole or in parts."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from tiny import one_thread  # noqa: F401

from valens.errors import ProbeError
from valens.linear_probes import learning
from valens.linear_probes.learning import Block, Labels, Trained, scores_of
from valens.linear_probes.recipe import Recipe
from valens.linear_probes.training import train

N_CLASSES = 5
QUICK = Recipe(steps=60, batch=32, lr=0.02, patience=0, checkpoints=6)


def labelled(n: int = 240, n_classes: int = N_CLASSES) -> Labels:
    classes = torch.randint(n_classes, (n,), generator=torch.Generator().manual_seed(1))
    return Labels(classes, n_classes, torch.arange(160), torch.arange(160, 200), torch.arange(200, n))


LABELS = labelled()


def block(widths: list[str], d: int, *, labels: Labels = LABELS) -> Block:
    """Features that know a little of the class, each probe's with a noise, a scale and a mean of its own."""
    chance = torch.Generator().manual_seed(d)
    centre = torch.randn(len(widths), labels.n_classes, d, generator=chance)
    noise = torch.randn(len(widths), len(labels.classes), d, generator=chance)
    size = torch.arange(1, len(widths) + 1)[:, None, None].float()
    return Block(tuple(widths), size * (0.4 * centre[:, labels.classes] + noise) + 3 * size)


WIDE, NARROW = block(["HS 1", "HS 2", "HS 3"], 12), block(["VA 1", "VA 2"], 4)


def same(one: Trained, other: Trained, tolerance: float) -> None:
    assert (one.name, one.best_checkpoint, one.steps) == (other.name, other.best_checkpoint, other.steps)
    np.testing.assert_allclose(one.validation, other.validation, atol=tolerance)
    np.testing.assert_allclose(one.losses, other.losses, atol=tolerance)
    np.testing.assert_allclose(one.weight, other.weight, atol=tolerance)
    np.testing.assert_allclose(one.bias, other.bias, atol=tolerance)
    assert np.mean(one.ranks != other.ranks) <= tolerance


def alone(block: Block, place: int) -> Block:
    return Block(block.names[place : place + 1], block.features[place : place + 1].clone())


class TestTogetherAsAlone:
    @pytest.mark.parametrize("recipe", [QUICK, replace(QUICK, patience=1, l2=0.0, lr=0.3, steps=120, checkpoints=12)])
    def test_each_probe_of_a_batch_is_what_it_is_alone(self, recipe: Recipe) -> None:
        together = train([WIDE, NARROW], LABELS, recipe, seed=3)
        assert [probe.name for probe in together] == [*WIDE.names, *NARROW.names]
        separate = [
            train([alone(part, place)], LABELS, recipe, seed=3)[0]
            for part in (WIDE, NARROW)
            for place in range(len(part.names))
        ]
        for one, other in zip(together, separate, strict=True):
            same(one, other, 1e-4)

    def test_the_case_above_stops_at_different_times(self) -> None:
        recipe = replace(QUICK, patience=1, l2=0.0, lr=0.3, steps=120, checkpoints=12)
        assert len({probe.best_checkpoint for probe in train([WIDE, NARROW], LABELS, recipe, seed=3)}) > 1

    def test_the_same_seed_gives_the_same_bits_and_another_does_not(self) -> None:
        one, again, other = (train([WIDE], LABELS, QUICK, seed=seed)[2] for seed in (5, 5, 6))
        assert torch.equal(one.weight, again.weight)
        np.testing.assert_array_equal(one.losses, again.losses)
        assert not torch.equal(one.weight, other.weight)

    def test_what_is_given_is_not_changed(self) -> None:
        before = WIDE.features.clone()
        train([WIDE], LABELS, QUICK, seed=0)
        assert torch.equal(WIDE.features, before)


class TestOptimum:
    def test_the_loss_is_that_of_scikit_learn_s_optimum(self) -> None:
        recipe = Recipe(steps=800, batch=10_000, lr=0.05, l2=0.01, patience=0, checkpoints=1)
        labels = replace(LABELS, validation=LABELS.train, test=LABELS.train)
        rows, y = LABELS.train, LABELS.classes[LABELS.train].numpy()
        for probe, features in zip(train([WIDE], labels, recipe, seed=0), WIDE.features, strict=True):
            x = features[rows].numpy().astype(np.float64)
            scale = x.std(axis=0)
            best = LogisticRegression(C=1 / (recipe.l2 * len(x)), tol=1e-9, max_iter=10_000).fit(x / scale, y)
            wanted = self.penalised(best.decision_function(x / scale), best.coef_.T, y, recipe.l2)
            logits = x @ probe.weight.double().numpy() + probe.bias.double().numpy()
            found = self.penalised(logits, probe.weight.double().numpy() * scale[:, None], y, recipe.l2)
            assert wanted - 1e-6 <= found <= wanted * 1.001  # the optimum is a bound, but for the rounding of float32
            np.testing.assert_allclose(probe.losses[0].mean(), self.penalised(logits, np.zeros(1), y, 0.0), rtol=1e-4)

    @staticmethod
    def penalised(logits: np.ndarray, weight: np.ndarray, y: np.ndarray, l2: float) -> float:
        loss, _ = scores_of(torch.from_numpy(logits), torch.from_numpy(y))
        return float(loss.mean()) + l2 / 2 * float(np.square(weight).sum())

    def test_minibatches_come_near_it(self) -> None:
        labels = replace(LABELS, validation=LABELS.train, test=LABELS.train)
        full = Recipe(steps=600, batch=10_000, lr=0.05, l2=0.1, patience=0, checkpoints=1)
        small = replace(full, batch=40, lr=0.02, steps=1200)
        exact, near = (train([NARROW], labels, recipe, seed=1) for recipe in (full, small))
        for one, other in zip(exact, near, strict=True):
            assert other.validation[-1] == pytest.approx(one.validation[-1], rel=0.01)


class TestParts:
    def test_few_logits_at_a_time_change_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = train([WIDE], LABELS, QUICK, seed=2)
        monkeypatch.setattr(learning, "LOGIT_BYTES", 4 * 3 * N_CLASSES * 7)
        for one, other in zip(train([WIDE], LABELS, QUICK, seed=2), whole, strict=True):
            same(one, other, 1e-4)

    def test_no_more_logits_exist_than_allowed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen = []
        ask = torch.baddbmm
        monkeypatch.setattr(torch, "baddbmm", lambda *a, **k: seen.append(ask(*a, **k)) or seen[-1])
        monkeypatch.setattr(learning, "LOGIT_BYTES", 2000)
        labels = labelled(n_classes=50)
        train([block(["a"], 3, labels=labels)], labels, replace(QUICK, steps=2), seed=0)
        assert max(part[0].shape[0] * 4 * 50 for part in seen) <= 2000


class TestScores:
    def test_worked_by_hand(self) -> None:
        logits = torch.tensor([[2.0, 1.0, 1.0], [0.0, 0.0, 0.0], [5.0, 7.0, 6.0]])
        losses, ranks = scores_of(logits, torch.tensor([0, 1, 0]))
        assert ranks.tolist() == [1, 3, 3]  # a tie is no hit
        wanted = [math.log(math.e**2 + 2 * math.e) - 2, math.log(3), math.log(1 + math.e + math.e**2)]
        np.testing.assert_allclose(losses, wanted, rtol=1e-6)

    def test_the_scores_are_those_of_the_weights_kept(self) -> None:
        recipe = replace(QUICK, patience=2, l2=0.0, lr=0.3, steps=200, checkpoints=20)
        test = LABELS.test
        for probe, features in zip(train([WIDE], LABELS, recipe, seed=0), WIDE.features, strict=True):
            losses, ranks = scores_of(features[test] @ probe.weight + probe.bias, LABELS.classes[test])
            np.testing.assert_allclose(probe.losses[probe.best_checkpoint], losses, atol=1e-4)
            np.testing.assert_array_equal(probe.ranks[probe.best_checkpoint], ranks)
            assert probe.validation[probe.best_checkpoint] == probe.validation.min()

    def test_a_stopped_probe_goes_on_at_what_it_keeps(self) -> None:
        recipe = replace(QUICK, patience=2, l2=0.0, lr=0.3, steps=200, checkpoints=20)
        probe = train([WIDE], LABELS, recipe, seed=0)[0]
        stopped = probe.best_checkpoint + 2
        assert stopped < len(probe.steps) - 1
        for place in range(stopped + 1, len(probe.steps)):
            np.testing.assert_array_equal(probe.losses[place], probe.losses[probe.best_checkpoint])

    def test_features_that_say_nothing_leave_the_frequencies(self) -> None:
        nothing = Block(("nothing",), torch.full((1, 240, 2), 7.0))
        probe = train([nothing], LABELS, replace(QUICK, steps=1, checkpoints=1, lr=1e-9), seed=0)[0]
        counts = np.bincount(LABELS.classes[LABELS.train], minlength=N_CLASSES) + 1
        wanted = -np.log(counts / counts.sum())[LABELS.classes[LABELS.test]]
        np.testing.assert_allclose(probe.losses[0], wanted, atol=1e-5)
        assert probe.start == pytest.approx(probe.validation[0], abs=1e-5)  # before any step, as after one of 1e-9

    def test_a_constant_feature_is_harmless(self) -> None:
        features = torch.cat([WIDE.features, torch.full((3, 240, 1), 1e4)], dim=2)
        with_it = train([Block(WIDE.names, features)], LABELS, QUICK, seed=0)[0]
        without = train([WIDE], LABELS, QUICK, seed=0)[0]
        np.testing.assert_allclose(with_it.losses, without.losses, atol=1e-4)


class TestRecipe:
    def test_checkpoints_end_with_the_last_step_and_grow_apart(self) -> None:
        steps = Recipe(steps=1000, checkpoints=12).scored_after()
        assert steps[-1] == 1000
        assert len(steps) == 12
        assert (np.diff(steps, n=2) >= -1).all()  # but for rounding
        assert Recipe(steps=2, checkpoints=12).scored_after() == (1, 2)

    def test_the_rate_falls_to_nothing_or_stays(self) -> None:
        falling = [Recipe(steps=10, lr=0.5).rate(step) for step in range(10)]
        assert falling[0] == 0.5
        assert falling == sorted(falling, reverse=True)
        assert 0 < falling[-1] < 0.05
        assert Recipe(schedule="constant", lr=0.5).rate(999) == 0.5

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"steps": 0}, "--steps is 1 or more; 0"),
            ({"batch": -1}, "--batch is 1 or more"),
            ({"lr": 0.0}, r"--lr 0.0 was asked for"),
            ({"lr": math.nan}, r"--lr nan was asked for"),
            ({"l2": -1.0}, "--l2 and --patience are 0 or more"),
            ({"schedule": "linear"}, "--schedule is cosine or constant; 'linear'"),
        ],
    )
    def test_what_nothing_can_be_trained_with(self, setting: dict, message: str) -> None:
        with pytest.raises(ProbeError, match=message):
            Recipe(**setting)

    def test_a_diverged_probe_is_named_with_the_rate(self) -> None:
        with pytest.raises(ProbeError, match=r"probe of HS 1 diverged.* learning rate of 1e\+38. Lower --lr"):
            train([WIDE, NARROW], LABELS, replace(QUICK, lr=1e38), seed=0)
        with pytest.raises(
            ProbeError, match=r"HS 2 diverged: .* \d\.\d nats at its lowest, and 1\.\d before the first"
        ):
            train([WIDE, NARROW], LABELS, replace(QUICK, lr=50), seed=0)
