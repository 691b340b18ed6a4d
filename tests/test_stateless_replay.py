"""The buffer against a plain list."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mfmarl.data.stateless_replay import ReplayBuffer

COLUMNS = {"action": ((3,), torch.uint8), "reward": ((), torch.float32)}
SEEDS = 2


def entry(step: int) -> dict[str, Tensor]:
    """What joint step number `step` leaves, different for every step, seed and agent."""
    action = torch.tensor([[step, step + 10, step + 20], [step + 100, step + 110, step + 120]])
    return {"action": action, "reward": torch.tensor([step + 0.5, step + 1000.25], dtype=torch.float64)}


def filled(capacity: int, steps: int) -> ReplayBuffer:
    buffer = ReplayBuffer(capacity, SEEDS, COLUMNS)
    for step in range(steps):
        buffer.push(**entry(step))
    return buffer


def contents(buffer: ReplayBuffer) -> list[tuple[list[list[int]], list[float]]]:
    """What the buffer holds, ordered by reward, as the list below holds it."""
    rows = buffer.rows(torch.arange(len(buffer)).expand(SEEDS, -1))
    actions, rewards = buffer.steps("action", rows), buffer.steps("reward", rows)
    held = [(actions[:, n].tolist(), rewards[:, n].tolist()) for n in range(len(buffer))]
    return sorted(held, key=lambda item: item[1])


@given(st.integers(1, 7), st.integers(0, 20))
def test_it_holds_the_last_steps_of_every_seed(capacity: int, steps: int) -> None:
    kept = [entry(step) for step in range(steps)][-capacity:]
    buffer = filled(capacity, steps)
    assert len(buffer) == len(kept)
    assert contents(buffer) == [(item["action"].tolist(), item["reward"].tolist()) for item in kept]


def test_what_is_pushed_is_copied() -> None:
    buffer = filled(3, 1)
    last = entry(1)
    buffer.push(**last)
    last["action"].zero_()
    assert contents(buffer)[1][0] == entry(1)["action"].tolist()


def test_rows_steps_and_elements_pick_what_was_asked_for_in_each_seed() -> None:
    buffer = filled(4, 6)  # positions 0 .. 3 hold steps 4, 5, 2, 3
    at = torch.tensor([[0, 3, 3, 2], [1, 0, 2, 1]])
    step = torch.tensor([[4, 3, 3, 2], [5, 4, 2, 5]])
    agent = torch.tensor([[0, 1, 2, 0], [2, 1, 0, 0]])
    rows = buffer.rows(at)
    assert buffer.steps("reward", rows).tolist() == (step + torch.tensor([[0.5], [1000.25]])).tolist()
    own = step + 10 * agent + torch.tensor([[0], [100]])
    assert buffer.elements("action", 3 * rows + agent).tolist() == own.tolist()
    whole = step.unsqueeze(-1) + torch.tensor([0, 10, 20]) + torch.tensor([0, 100]).view(2, 1, 1)
    assert buffer.steps("action", rows).tolist() == whole.tolist()


@pytest.mark.parametrize("steps", [0, 2, 4, 9])
def test_state_dict_round_trip_goes_on_like_the_original(steps: int) -> None:
    original = filled(4, steps)
    state = {
        name: value.clone() if isinstance(value, Tensor) else value for name, value in original.state_dict().items()
    }
    assert all(value.shape[1] == len(original) for value in state.values() if isinstance(value, Tensor))
    copy = ReplayBuffer(4, SEEDS, COLUMNS)
    copy.load_state_dict(state)
    for step in range(steps, steps + 3):
        assert contents(copy) == contents(original)
        for buffer in (copy, original):
            buffer.push(**entry(step))


@pytest.mark.parametrize(
    ("steps", "capacity", "said"),
    [(3, 2, "at least 3 joint steps"), (9, 3, "the 4 joint steps"), (9, 5, "the 4 joint steps")],
)
def test_a_state_that_does_not_fit_is_refused(steps: int, capacity: int, said: str) -> None:
    buffer = ReplayBuffer(capacity, SEEDS, COLUMNS)
    with pytest.raises(ValueError, match=f"^capacity must be {said} of the saved buffer, got {capacity}$"):
        buffer.load_state_dict(filled(4, steps).state_dict())
    assert len(buffer) == 0


def test_a_buffer_that_was_not_full_goes_on_with_more_room() -> None:
    buffer = ReplayBuffer(6, SEEDS, COLUMNS)
    buffer.load_state_dict(filled(4, 3).state_dict())
    assert contents(buffer) == contents(filled(6, 3))


def test_capacity_must_be_positive() -> None:
    with pytest.raises(ValueError, match=r"^capacity must be at least 1 joint step, got 0$"):
        ReplayBuffer(0, SEEDS, COLUMNS)
