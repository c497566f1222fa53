"""Learning a delay: against Nengo's own network, closed forms, and between targets."""

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.interpolate import pade

import spiking_lmu
from spiking_lmu.backends.rate import RATE
from spiking_lmu.backends.registry import get_target
from spiking_lmu.cli.main import main
from spiking_lmu.compat import import_nengo_loihi
from spiking_lmu.errors import TargetError
from spiking_lmu.graph.lmu import memory_matrices
from spiking_lmu.targets.loihi import online_learning as loihi_learning
from spiking_lmu.targets.loihi.engines import quiet
from spiking_lmu.training.online.closed_form import (
    best_readout,
    frequency_response,
    legendre_readout,
    memory_rms,
    readout_error,
)
from spiking_lmu.training.online.delay import learn_delay, normalised_rmse
from spiking_lmu.training.online.delay_network import build_delay_network, delayed, input_divisor
from spiking_lmu.training.online.delay_spec import PRESETS, DelaySpec
from spiking_lmu.training.online.freeze import freeze, frozen_output

from ..helpers.delay_networks import SCALED, SMALL, page


@pytest.fixture(scope="module")
def learned():
    return {name: learn_delay(SCALED, name) for name in ("reference", "nengo-dl", "loihi")}


def test_the_reference_is_the_public_examples_network_bit_for_bit():
    result = learn_delay(SMALL, "reference")
    ideal, output = page(SMALL)
    assert np.abs(output).max() > 0.05
    # A probe's synapse shows what it filtered up to the step before.
    assert np.array_equal(result.ideal[:-1], ideal[1:])
    assert np.array_equal(result.output, output)


def test_published_numbers():
    published = PRESETS["published"]
    assert published == DelaySpec(1.0, 8, 0.5, 2.0, 0.3, 1000, "relu", 2e-4, 100.0, 80.0, 0.005)
    assert (published.steps, published.learning_steps, published.delay_steps) == (
        100_000,
        80_000,
        500,
    )


@pytest.mark.parametrize("order", [1, 4, 6])
def test_the_legendre_readout_of_the_whole_window_is_pades_approximant(order):
    frequencies = np.array([0.05, 0.3, 0.8])
    taylor = np.array([(-1.0) ** k for k in range(2 * order)]) / np.cumprod(
        [1, *range(1, 2 * order)]
    )
    numerator, denominator = pade(taylor, order, order - 1)
    s = 2j * np.pi * frequencies
    got = frequency_response(order, 1.0, frequencies) @ legendre_readout(order, 1.0, 1.0)
    np.testing.assert_allclose(got, numerator(s) / denominator(s), rtol=1e-8)


def test_closed_forms_are_what_a_simulated_memory_shows():
    spec = DelaySpec(duration=60.0, off=30.0)
    noise = np.asarray(
        build_delay_network(replace(spec, neurons=2)).network.nodes[0].output.run_steps(spec.steps)
    )[:, 0]
    a, b = memory_matrices(spec.order, spec.theta / spec.dt)
    memory = np.zeros((spec.steps, spec.order))
    for step in range(1, spec.steps):
        memory[step] = a @ memory[step - 1] + b[:, 0] * noise[step]
    settled = slice(2000, None)
    measured = np.sqrt(np.mean(memory[settled] ** 2, axis=0))
    np.testing.assert_allclose(measured, memory_rms(8, 1.0, 2.0, 0.3), rtol=0.15)

    ideal = delayed(noise, spec.delay_steps)
    legendre = legendre_readout(8, 1.0, 0.5)
    best, least = best_readout(8, 1.0, 0.5, 2.0)
    for decoders, expected in ((legendre, readout_error(legendre, 1.0, 0.5, 2.0)), (best, least)):
        got = normalised_rmse(memory @ decoders, ideal, 2000)
        assert got == pytest.approx(expected, rel=0.25)
    assert least < 0.01 < readout_error(legendre, 1.0, 0.5, 2.0) < 0.06


def test_the_error_of_the_legendre_readout_falls_with_the_order():
    errors = [readout_error(legendre_readout(q, 1.0, 0.5), 1.0, 0.5, 1.0) for q in range(2, 10, 2)]
    assert all(later < 0.5 * earlier for earlier, later in pairwise(errors))


def test_normalised_rmse():
    ideal = np.array([9.0, 1.0, -1.0, 2.0])
    assert normalised_rmse(np.zeros(4), ideal, 1) == 1
    assert normalised_rmse(0.75 * ideal, ideal, 1) == pytest.approx(0.25)
    assert normalised_rmse(np.array([0, 1.0, -1.0, 2.0]), ideal, 1) == 0


def test_scaling_divides_each_dimension_by_its_rms():
    assert (input_divisor(replace(SMALL, radius=2.0)) == 2.0).all()
    rms = memory_rms(SCALED.order, SCALED.theta, SCALED.frequency, SCALED.rms)
    np.testing.assert_allclose(input_divisor(SCALED), 3.5 * rms)


def test_targets_agree(learned):
    reference = learned["reference"]
    assert reference.nrmse < 0.65  # without learning it is 1
    scale = np.abs(reference.output).max()
    for result in learned.values():
        np.testing.assert_allclose(result.stimulus, reference.stimulus, atol=1e-6)
    close = np.abs(learned["nengo-dl"].output - reference.output)
    # float32 moves single spikes by a step
    assert np.sqrt(np.mean(close**2)) < 0.02 * scale
    assert learned["nengo-dl"].nrmse == pytest.approx(reference.nrmse, abs=0.01)
    assert learned["loihi"].nrmse == pytest.approx(reference.nrmse, abs=0.1)


def test_decoders_are_read_from_each_target_in_the_same_units(learned):
    reference = learned["reference"].decoders
    np.testing.assert_allclose(
        learned["nengo-dl"].decoders, reference, atol=0.02 * np.abs(reference).max()
    )
    chip = learned["loihi"].decoders
    slope = chip @ reference / (reference @ reference)
    assert 0.7 < slope < 1.4
    assert np.corrcoef(chip, reference)[0, 1] > 0.9


def test_errors_rounded_on_the_host_lose_nothing_when_the_chip_shifts():
    from nengo_loihi.builder.discretize import (
        LEARN_FRAC,
        learn_overflow_bits,
        scale_pes_errors,
        shift,
    )

    built = build_delay_network(SCALED)
    with loihi_learning.LOIHI.simulator(
        built.network, SCALED.dt, 0, SCALED.decoder_range
    ) as simulator:
        (synapse,) = (s for b in simulator.model.blocks for s in b.synapses if s.learning)
        scale = simulator.model.pes_error_scale
    bits = LEARN_FRAC + synapse._lr_exp - learn_overflow_bits(n_factors=2)
    assert (synapse._lr_int, bits) == (1, -loihi_learning.CHIP_SHIFT)

    def lost(errors):
        """Mean of what the pair's two weights gain together: nothing, were it exact."""
        trace = np.arange(1, 12)[:, None]
        whole = scale_pes_errors(errors, scale=scale)
        return np.mean(shift(trace * whole, bits) + shift(-trace * whole, bits))

    errors = np.linspace(-0.9, 0.9, 201)
    step = loihi_learning.LOIHI.error_step
    assert lost(errors) < -0.5
    assert lost(np.round(errors / step) * step) == 0


def test_updating_weights_at_once_is_the_emulators_update_bit_for_bit(learned):
    loihi = import_nengo_loihi()
    from nengo_loihi.builder import Model

    built = build_delay_network(SCALED, loihi_learning.LOIHI.error_step)
    model = Model(dt=SCALED.dt)
    model.pes_error_scale = loihi_learning.CHIP_ERROR_SCALE
    model.pes_wgt_exp = loihi_learning.weight_exponent(SCALED.decoder_range, SCALED.dt)
    with (
        quiet(),
        loihi.Simulator(built.network, seed=SCALED.seed, model=model, target="sim") as stock,
    ):
        stock.run_steps(600)
        expected = np.array(stock.data[built.output])[:, 0]
    assert np.abs(expected).max() > 0.05
    assert np.array_equal(learned["loihi"].output[:600], expected)


def test_weights_of_the_chip_hold_what_is_expected(learned):
    limit = loihi_learning.CHIP_DECODER_LIMIT
    exponent = loihi_learning.weight_exponent(SCALED.decoder_range, SCALED.dt)
    assert limit * 2.0 ** (exponent - 1) < SCALED.decoder_range <= limit * 2.0**exponent
    # decoders are half-integer multiples of the unit
    units = learned["loihi"].decoders / (limit * 2.0**exponent / 127)
    np.testing.assert_allclose(units, np.round(2 * units) / 2, atol=0.02 * np.abs(units).max())
    assert 5 < np.abs(units).max() <= 127.5


# Nengo 4.1 works out maximal rates of LIF neurons, which nothing here asks for, with a logarithm
# that has no value for biases between -1 and 0.
@pytest.mark.filterwarnings("ignore:invalid value encountered in log1p:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:Non-finite values detected:UserWarning")
@pytest.mark.parametrize("neuron", ["relu", "lif"])
def test_a_frozen_delay_does_as_well_as_with_learning_off(neuron, tmp_path, learned):
    result = learned["reference"]
    if neuron == "lif":
        result = learn_delay(replace(SCALED, neuron="lif"), "reference")
    spiking_lmu.save(freeze(result), tmp_path / "delay.slmu")
    model = spiking_lmu.load(tmp_path / "delay.slmu")
    output = frozen_output(model, result.stimulus)
    found = model.provenance["learned"]
    assert found["nrmse"] == result.nrmse
    assert found["frozen_nrmse"] == normalised_rmse(output, result.ideal, SCALED.learning_steps)
    # Only the voltages at the start are others.
    assert normalised_rmse(output, result.ideal, SCALED.learning_steps) == pytest.approx(
        result.nrmse, abs=0.02
    )
    with get_target("reference").deploy(model, SCALED.steps) as deployment:
        run = deployment.run(result.stimulus[None, :, None])
    np.testing.assert_allclose(run.outputs[0, :, 0], output, atol=1e-9)


def test_a_frozen_delay_runs_on_the_emulator(learned):
    result = learned["loihi"]
    model = freeze(result)
    with get_target("loihi").deploy(model, SCALED.steps) as deployment:
        output = deployment.run(result.stimulus[None, :, None]).outputs[0, :, 0]
    assert normalised_rmse(output, result.ideal, SCALED.learning_steps) < 0.7


def test_a_target_that_cannot_learn_says_so_in_one_line():
    with pytest.raises(TargetError, match="no learning while it runs") as caught:
        learn_delay(SMALL, RATE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"delay": 1.5, "theta": 1.0}, "delay"),
        ({"off": 3.0}, "off"),
        ({"frequency": 600.0}, "frequency"),
        ({"rms": float("nan")}, "rms"),
        ({"neuron": "tanh"}, "neuron"),
        ({"neurons": 0}, "neurons"),
        ({"max_rates": (200.0, 100.0)}, "max_rates"),
        ({"intercepts": (-2.0, 0.5)}, "intercepts"),
    ],
)
def test_numbers_out_of_range_name_their_parameter(changes, name):
    with pytest.raises(ValueError, match=rf"^{name}: got .* choose another {name}$"):
        replace(SMALL, **changes)


def test_the_command(tmp_path, capsys):
    arguments = "learn delay --neurons 30 --duration 1 --off 0.8 --delay 0.1 --theta 0.3 --order 3"
    files = {name: tmp_path / f"delay.{name}" for name in ("json", "svg", "slmu")}
    outputs = ["--json", files["json"], "--plot", files["svg"], "--freeze", files["slmu"]]
    assert main([*arguments.split(), *map(str, outputs)]) == 0
    record = json.loads(files["json"].read_text())
    assert f"normalised RMSE {record['nrmse']:.3f}" in capsys.readouterr().out
    assert record["options"]["neurons"] == 30
    assert record["frozen"]["digest"] == spiking_lmu.load(files["slmu"]).digest
    assert files["svg"].read_text().lstrip().startswith("<?xml")
    spec = replace(
        PRESETS["published"], neurons=30, duration=1.0, off=0.8, delay=0.1, theta=0.3, order=3
    )
    assert record["digests"] == learn_delay(spec, "reference").digests


def test_the_command_refuses_before_it_runs(capsys):
    assert main(["learn", "delay", "--preset", "nothing"]) == 1
    assert "--preset: got 'nothing'" in capsys.readouterr().err
    assert main(["learn", "delay", "--plot", "delay.pdf"]) == 1
    assert "--plot" in capsys.readouterr().err


def test_the_pages_code_runs(tmp_path, monkeypatch):
    """Learning on the page's small setting works, and the frozen model follows the input."""
    page = (Path(__file__).parents[2] / "docs" / "learning-delay.md").read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    scope = {}
    for block in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        exec(compile(block, "learning-delay.md", "exec"), scope)
    learned, output = scope["learned"], scope["output"][0, :, 0]
    assert learned.nrmse < 0.3
    assert normalised_rmse(output, learned.ideal, scope["spec"].learning_steps) < 0.3
