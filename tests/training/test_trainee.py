from __future__ import annotations

import pytest
import torch

import netspec
from netspec import DataError, Net
from netspec.ir.randomness import masks
from netspec.training.trainee import Trainee
from tests.training.nets import HEADER, ROWS, batch, small

HEADS = f"{ROWS}head h from a, weight=0.3: gap | flatten | fc 3 | softmax\n"


def in_float64(net: Net) -> Trainee:
    return Trainee(netspec.compile(net, dtype=torch.float64))


def test_while_training_it_gives_what_goes_into_the_softmax() -> None:
    trainee, (x, _) = in_float64(small(HEADS)), batch()
    reference = netspec.reference(trainee.model.net, dtype=torch.float64).train()
    with masks(1, 2, torch.arange(5)):
        logits, heads = trainee(x.double())
        output, outputs = reference(x.double())
    torch.testing.assert_close(logits.softmax(1), output)
    torch.testing.assert_close(heads["h"].softmax(1), outputs["h"])
    assert not torch.allclose(logits, output)
    assert "softmax" not in {stage.op.name for stage in trainee.graph.stages()}


def test_gradients_are_those_of_the_reference() -> None:
    trainee, (x, y) = in_float64(small(HEADS)), batch()
    reference = netspec.reference(trainee.model.net, dtype=torch.float64).train()
    rows = torch.arange(5)
    with masks(1, 2, rows):
        logits, heads = trainee(x.double())
        output, outputs = reference(x.double())
    (logits.log_softmax(1)[rows, y].sum() + heads["h"].log_softmax(1)[rows, y].sum()).backward()
    (output.log()[rows, y].sum() + outputs["h"].log()[rows, y].sum()).backward()
    wanted = dict(reference.named_parameters())
    for name, parameter in trainee.model.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name].grad, rtol=1e-9, atol=1e-11)


def test_testing_gives_the_output_of_the_trained_parameters() -> None:
    trainee, (x, _) = in_float64(small()), batch()
    before = trainee.test(x.double())
    trainee(x.double())
    with torch.no_grad():
        for parameter in trainee.model.parameters():
            parameter.mul_(2)
    after = trainee.test(x.double())
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after.sum(1), torch.ones(5).double())
    assert not after.requires_grad
    plain = netspec.reference(trainee.model.net, dtype=torch.float64)
    plain.load_state_dict(trainee.model.state_dict())
    torch.testing.assert_close(after, plain(x.double()))


def test_masks_are_the_same_for_parts_of_a_batch() -> None:
    trainee, (x, _) = in_float64(small()), batch(6)
    with masks(1, 2, torch.arange(6)):
        whole, _ = trainee(x.double())
    parts = []
    for samples in (torch.arange(2), torch.arange(2, 6)):
        with masks(1, 2, samples):
            parts.append(trainee(x[samples].double())[0])
    torch.testing.assert_close(torch.cat(parts), whole)
    with masks(1, 3, torch.arange(6)):
        assert not torch.allclose(trainee(x.double())[0], whole)


def test_a_net_without_a_softmax_gives_its_output() -> None:
    trainee, (x, _) = in_float64(small("a: fc 3")), batch()
    torch.testing.assert_close(trainee(x.double())[0], trainee.test(x.double()))


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        (f"{HEADER}a: fc 3\nb from image: fc 2\noutput a, b", "1 inputs and 2 outputs"),
        ("net n\ninput l 4\ninput r 4\na from l, r: add", "2 inputs and 1 outputs"),
    ],
)
def test_several_inputs_or_outputs_are_refused(text: str, counts: str) -> None:
    model = netspec.compile(netspec.loads(text))
    with pytest.raises(DataError, match=counts):
        Trainee(model)
