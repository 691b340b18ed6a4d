"""Mean Field Multi-Agent Reinforcement Learning (Yang et al., ICML 2018), reproduced in PyTorch Lightning.

from mfmarl import GaussianSqueeze, MFQ, train
curves = train(MFQ, GaussianSqueeze(agents=100), seeds=range(8), steps=8000, evaluations=40, learning_rate=1e-3)
"""

from importlib import import_module

__version__ = "0.1.0"

# Module of each public name, imported on first use, so that `import mfmarl.figures` does not load torch.
_PLACES = {
    # games
    "Battle": "mfmarl.environments.battle.game",
    "Environment": "mfmarl.environments",
    "GaussianSqueeze": "mfmarl.environments.gaussian_squeeze",
    "Ising": "mfmarl.environments.ising",
    "MatrixGame": "mfmarl.environments.matrix_game",
    # methods
    "AC": "mfmarl.algorithms.actor_critic",
    "BattleAC": "mfmarl.algorithms.battle",
    "BattleIL": "mfmarl.algorithms.battle",
    "BattleMFAC": "mfmarl.algorithms.battle",
    "BattleMFQ": "mfmarl.algorithms.battle",
    "FMQ": "mfmarl.algorithms.frequency_maximum",
    "IL": "mfmarl.algorithms.q_learning",
    "MAAC": "mfmarl.algorithms.actor_critic",
    "MFAC": "mfmarl.algorithms.actor_critic",
    "MFQ": "mfmarl.algorithms.q_learning",
    "Metropolis": "mfmarl.algorithms.lattice",
    "RecFMQ": "mfmarl.algorithms.frequency_maximum",
    "TabularIL": "mfmarl.algorithms.lattice",
    "TabularMFQ": "mfmarl.algorithms.lattice",
    # base classes of custom methods, and their training data
    "BattleAgent": "mfmarl.algorithms.battle",
    "BattleBatch": "mfmarl.data.army_replay",
    "Batch": "mfmarl.data.stateless_replay",
    "LatticeAgent": "mfmarl.algorithms.lattice",
    "ReplayingAgent": "mfmarl.algorithms.battle",
    "StatelessAgent": "mfmarl.algorithms.stateless",
    "Transition": "mfmarl.data.sweeps",
    # data modules and neighbourhoods
    "Army": "mfmarl.data.neighbourhood",
    "Graph": "mfmarl.data.neighbourhood",
    "JointStep": "mfmarl.data.neighbourhood",
    "Neighbourhood": "mfmarl.data.neighbourhood",
    "Noise": "mfmarl.data.neighbourhood",
    "ReplayDataModule": "mfmarl.data.stateless",
    "SelfPlayDataModule": "mfmarl.data.self_play",
    "SweepDataModule": "mfmarl.data.sweeps",
    # networks and exploration
    "AgentNetwork": "mfmarl.networks.stacked",
    "BattleNetwork": "mfmarl.networks.battle",
    "Boltzmann": "mfmarl.exploration",
    "Copies": "mfmarl.networks.stacked",
    "EpsilonGreedy": "mfmarl.exploration",
    # equations
    "action_counts": "mfmarl.mean_field",
    "boltzmann_policy": "mfmarl.mean_field",
    "boltzmann_value": "mfmarl.mean_field",
    "chosen": "mfmarl.mean_field",
    "frequencies": "mfmarl.mean_field",
    "mean_action": "mfmarl.mean_field",
    "mean_field_value": "mfmarl.mean_field",
    "mean_policy": "mfmarl.mean_field",
    # trained armies
    "Policy": "mfmarl.policies",
    "load_agent": "mfmarl.algorithms.saved",
    "fight": "mfmarl.tournament.fights",
    # training
    "Execution": "mfmarl.jobs.execution",
    "TrainingJob": "mfmarl.jobs.job",
    "launch": "mfmarl.jobs.launch",
    "train": "mfmarl.jobs.library",
}

__all__ = ["__version__", *_PLACES]  # noqa: PLE0604 - the keys are strings


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(import_module(_PLACES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
