"""What RealNet and its trainer refuse: named errors, and the model is as before."""

import numpy as np
import pytest

from enilnets.errors import ConfigError, DataError, DTypeError, EnilnetsError, ShapeError
from enilnets.sequence import RealNet, RealNetTrainer, SparseRealNet, SynapticPruner


@pytest.mark.parametrize(
    "change, words",
    [
        ({"input_ids": [0, 5]}, "neurons 0 to 4, got 5"),
        ({"input_ids": [-1]}, ">= 0"),
        ({"output_ids": [7]}, "neurons 0 to 4"),
        ({"input_ids": [0, 0]}, "every neuron once"),
        ({"output_ids": [1, 4]}, "receive no input"),
        ({"input_ids": []}, "at least one"),
        ({"output_ids": "4"}, "list of neuron"),
        ({"input_ids": 3}, "list of neuron"),
        ({"input_ids": [True]}, "integer"),
        ({"input_ids": [0.5]}, "integer"),
        ({"num_neurons": 1}, ">= 2"),
        ({"pulse_mode": 1}, "True or False"),
        ({"dropout_rate": 1.0}, r"\[0, 1\)"),
        ({"device": "tpu"}, "cpu, cuda"),
        ({"dtype": "float16"}, "float32"),
        ({"rng": "x"}, "rng"),
    ],
)
def test_network_settings(change, words):
    with pytest.raises(EnilnetsError, match=words):
        RealNet(**{"num_neurons": 5, "input_ids": [0, 1], "output_ids": [4], **change})


@pytest.mark.parametrize(
    "error, arguments",
    [
        (ConfigError, {"steps": 0}),
        (ConfigError, {"steps": 2.5}),
        (ConfigError, {"steps": True}),
        (ShapeError, {"x_input": np.ones((2, 4))}),
        (ShapeError, {"x_input": np.ones(5)}),
        (ShapeError, {"x_input": np.ones((2, 0, 5))}),
        (DTypeError, {"x_input": [["a"] * 5]}),
        (DataError, {"x_input": np.full((2, 5), np.nan)}),
        (ShapeError, {"current_state": np.ones((3, 5))}),
        (ShapeError, {"current_state": np.ones((2, 6))}),
        (DataError, {"current_state": np.full((2, 5), np.inf)}),
        (DataError, {"x_input": None, "current_state": np.ones((0, 5))}),
    ],
)
def test_forward(error, arguments):
    model = RealNet(5, [0, 1], [4], rng=0)
    before = model.rng.bit_generator.state
    for network in (model, SparseRealNet.from_dense(model)):
        with pytest.raises(error):
            network.forward(**{"x_input": np.ones((2, 5)), "steps": 3, **arguments})
    assert model.rng.bit_generator.state == before


@pytest.mark.parametrize(
    "error, arguments",
    [
        (ShapeError, {"input_features": np.ones((4, 3, 0))}),
        (ShapeError, {"input_features": np.ones((4, 2, 2, 2))}),
        (DataError, {"input_features": np.ones((0, 2))}),
        (DataError, {"input_features": [[np.nan, 0]] * 4}),
        (ShapeError, {"target_values": np.ones((4, 2))}),
        (ShapeError, {"target_values": np.ones(3)}),
        (DataError, {"target_values": [[np.inf]] * 4}),
        (DTypeError, {"target_values": [[1], [1, 2], [1], [1]]}),
        (ShapeError, {"target_values": 3.0}),
        (ConfigError, {"thinking_steps": 0}),
        (ConfigError, {"thinking_steps": (5, 3)}),
        (ConfigError, {"thinking_steps": (1, 2, 3)}),
        (ConfigError, {"thinking_steps": "5"}),
        (ConfigError, {"thinking_steps": (2, 4), "full_sequence": True}),
        (ConfigError, {"gradient_accumulation_steps": 0}),
        (ConfigError, {"mask": np.ones((4, 3))}),
        (ShapeError, {"mask": np.ones((4, 2)), "full_sequence": True, "target_values": np.ones((4, 3, 1))}),
        (DataError, {"mask": np.zeros((4, 3)), "full_sequence": True, "target_values": np.ones((4, 3, 1))}),
    ],
)
def test_train_batch(error, arguments):
    trainer = RealNetTrainer(RealNet(5, [0, 1], [4], rng=0))
    before, random = trainer.model.arena.values.copy(), trainer.model.rng.bit_generator.state
    given = {"input_features": np.ones((4, 2)), "target_values": np.ones((4, 1)), "thinking_steps": 3, **arguments}
    with pytest.raises(error):
        trainer.train_batch(**given)
    np.testing.assert_array_equal(trainer.model.arena.values, before)
    assert trainer.optimizer.t == 0 and trainer.waiting == 0 and trainer.model.rng.bit_generator.state == random


def test_evaluate_names_itself():
    trainer = RealNetTrainer(RealNet(5, [0, 1], [4], rng=0))
    with pytest.raises(ConfigError, match=r"evaluate\(thinking_steps\)"):
        trainer.evaluate(np.ones((4, 2)), np.ones((4, 1)), (3, 5))
    with pytest.raises(ShapeError, match=r"evaluate\(input_features\)"):
        trainer.evaluate(np.ones((4, 0)), np.ones((4, 1)), 3)
    with pytest.raises(ConfigError, match=r"evaluate\(mask\).* got full_sequence=False, loss_fn='mse'"):
        trainer.evaluate(np.ones((4, 2)), np.ones((4, 1)), 3, mask=np.ones((4, 3)))


@pytest.mark.parametrize("result", [None, 3.0, (1.0,), ("a", np.ones((4, 1))), (np.ones(4), 1.0), (1.0, "x")])
def test_a_loss_function_returns_loss_and_gradient(result):
    trainer = RealNetTrainer(RealNet(5, [0, 1], [4], rng=0), loss_fn=lambda output, target: result)
    with pytest.raises(DTypeError, match="loss_fn"):
        trainer.train_batch(np.ones((4, 2)), np.ones((4, 1)), 3)
    with pytest.raises(ShapeError, match="target_values"):
        trainer.train_batch(np.ones((4, 2)), 3.0, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": "adamx"},
        {"optimizer": object()},
        {"loss_fn": "mce"},
        {"loss_fn": 3},
        {"device": "gpu"},
        {"gradient_decay": 1.0},
        {"gradient_decay": -0.1},
        {"learning_rate": -1},
        {"clip_norm": 0},
        {"model": None},
    ],
)
def test_trainer_settings(change):
    with pytest.raises(EnilnetsError):
        RealNetTrainer(**{"model": RealNet(5, [0, 1], [4], rng=0), **change})


@pytest.mark.parametrize("change", [{"epochs": 0}, {"batch_size": 0}, {"pruning_threshold": -1}, {"verbose": 2}])
def test_fit_settings(change):
    trainer = RealNetTrainer(RealNet(3, [0, 1], [2], rng=0))
    with pytest.raises(ConfigError):
        trainer.fit(**{"input_features": [[0, 1]], "target_values": [[1]], "epochs": 1, **change})


def test_pruning_and_assignments():
    model = RealNet(3, [0, 1], [2], rng=0)
    for threshold in (-1, np.nan, "0.1", True):
        with pytest.raises(ConfigError):
            SynapticPruner.prune(model, threshold)
    before = model.arena.values.copy()
    for name, value in (("weights", np.ones((2, 3))), ("bias", [np.nan] * 3), ("gamma", 1), ("beta", "x")):
        with pytest.raises(EnilnetsError):
            setattr(model, name, value)
    for dead in (np.ones(3, bool), np.full((3, 3), np.nan), np.ones((3, 3))):
        with pytest.raises(EnilnetsError, match="kill"):
            model.kill(dead)
    with pytest.raises(DTypeError):
        SparseRealNet(None)
    for wrong in (None, RealNetTrainer(model)):
        with pytest.raises(DTypeError, match="model"):
            SynapticPruner.prune(wrong)
        with pytest.raises(DTypeError, match="model"):
            SynapticPruner.get_sparsity(wrong)
    np.testing.assert_array_equal(model.arena.values, before)
