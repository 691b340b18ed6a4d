"""Train with a plain `pl.Trainer`: logger, early stopping, checkpoints, and loading the best checkpoint."""

import tempfile
from pathlib import Path

import pandas as pd
import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger

from mfmarl import MFQ, EpsilonGreedy, GaussianSqueeze, ReplayDataModule

if __name__ == "__main__":
    game, seeds = GaussianSqueeze(agents=20, mu=80, sigma=40), range(4)
    agent = MFQ(game, seeds, learning_rate=1e-2, exploration=EpsilonGreedy(1.0, 0.01, 500))
    data = ReplayDataModule(game, seeds, steps=1000, evaluations=10)
    with tempfile.TemporaryDirectory() as directory:
        best = ModelCheckpoint(f"{directory}/checkpoints", monitor="greedy_reward", mode="max")
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=data.evaluations,  # an epoch is the training between two evaluations
            logger=CSVLogger(directory),
            callbacks=[best, EarlyStopping("greedy_reward", mode="max", patience=5)],
            log_every_n_steps=1,
            enable_progress_bar=False,
        )
        trainer.fit(agent, datamodule=data)
        print(pd.read_csv(Path(trainer.log_dir or directory) / "metrics.csv")[["step", "greedy_reward"]])
        print(
            f"gradient steps: {trainer.global_step}, stopped after {trainer.current_epoch} of {data.evaluations} epochs"
        )
        again = MFQ.load_from_checkpoint(best.best_model_path)
        print(f"the best, loaded again, of seeds {again.seeds}: {float(best.best_model_score or 0):.1f}")
