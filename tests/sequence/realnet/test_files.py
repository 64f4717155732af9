"""Files and copies: training goes on bit for bit; damaged files are refused by name."""

import copy
import json
import pickle

import numpy as np
import pytest

from enilnets.errors import ModelFormatError, StateError
from enilnets.optim import Adam
from enilnets.sequence import RealNet, RealNetTrainer
from enilnets.storage import safetensors


def trained(rng, **settings):
    trainer = RealNetTrainer(RealNet(9, [0, 1], [7, 8], rng=0), gradient_decay=0.2, **settings)
    x, y = rng.normal(size=(8, 2)), rng.normal(size=(8, 2))
    trainer.fit(x, y, epochs=3, batch_size=4, thinking_steps=(2, 4), verbose=False)
    trainer.train_batch(x, y, 3, gradient_accumulation_steps=2)  # a gradient that waits
    return trainer, x, y


def go_on(trainer, x, y):
    trainer.train_batch(x, y, 3, gradient_accumulation_steps=2)
    trainer.fit(x, y, epochs=2, batch_size=4, thinking_steps=(2, 4), pruning_threshold=0.01, verbose=False)
    return trainer.model.arena.values.tobytes()


def test_training_goes_on_bit_for_bit(rng, tmp_path):
    trainer, x, y = trained(rng)
    path = tmp_path / "trainer.safetensors"
    trainer.Save(path)
    twins = RealNetTrainer.Load(path), copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer)), trainer.clone()
    assert len({go_on(each, x, y) for each in (trainer, *twins)}) == 1


def test_a_network_comes_back(rng, tmp_path):
    trainer, x, _ = trained(rng)
    trainer.prune(0.01)
    model = trainer.model
    model.Save(tmp_path / "net.safetensors")
    back = RealNet.Load(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(back.arena.values, model.arena.values)
    np.testing.assert_array_equal(back.mask, model.mask)
    assert (back.input_ids, back.output_ids, back.dropout_rate) == (model.input_ids, model.output_ids, 0.1)
    x = model.prepare_input(x)
    np.testing.assert_array_equal(back.forward(x, 3)[0], model.forward(x, 3)[0])


def test_a_loss_that_is_a_function_is_given_again(rng, tmp_path):
    def loss(output, target):
        return float(((output - target) ** 2).mean()), 2 * (output - target) / output.size

    trainer, x, y = trained(rng, loss_fn=loss)
    trainer.Save(tmp_path / "t")
    with pytest.raises(ModelFormatError, match="loss_fn"):
        RealNetTrainer.Load(tmp_path / "t")
    back = RealNetTrainer.Load(tmp_path / "t", loss_fn=loss)
    assert go_on(back, x, y) == go_on(trainer, x, y)


def spoiled(path, change):
    arrays, metadata = safetensors.load(path)
    config = json.loads(metadata["enilnets.sequence"])
    change(config, arrays)
    safetensors.save(path, arrays, {"enilnets.sequence": json.dumps(config)})


@pytest.mark.parametrize(
    "change",
    [
        lambda config, arrays: config.update(version=2),
        lambda config, arrays: config.update(kind="realnet"),
        lambda config, arrays: config["model"].update(input_ids=[99]),
        lambda config, arrays: config["model"].update(rng={"bit_generator": "os"}),
        lambda config, arrays: config["model"].pop("dtype"),
        lambda config, arrays: config["optimizer"].update(name="os"),
        lambda config, arrays: config["optimizer"].update(settings={"beta": 1}),
        lambda config, arrays: config.update(loss="os"),
        lambda config, arrays: arrays.pop("model.weights"),
        lambda config, arrays: arrays.update({"model.bias": np.ones(3)}),
        lambda config, arrays: arrays.update({"optimizer.m": np.ones(3)}),
        lambda config, arrays: arrays.update({"gradient.bias": np.ones(3)}),
        lambda config, arrays: arrays.update({"other.bias": np.ones(3)}),
    ],
)
def test_damaged_files_are_refused(change, rng, tmp_path):
    trainer, *_ = trained(rng)
    trainer.Save(tmp_path / "t")
    spoiled(tmp_path / "t", change)
    with pytest.raises(ModelFormatError):
        RealNetTrainer.Load(tmp_path / "t")


def test_other_files_and_optimizers(rng, tmp_path):
    class Own(Adam):
        pass

    trainer, *_ = trained(rng, optimizer=Own())
    with pytest.raises(StateError, match="Own"):
        trainer.Save(tmp_path / "t")
    assert not (tmp_path / "t").exists()
    with pytest.raises(FileNotFoundError):
        RealNet.Load(tmp_path / "nothing")
    trained(rng)[0].Save(tmp_path / "t")
    with pytest.raises(ModelFormatError, match="kind realnet"):
        RealNet.Load(tmp_path / "t")
