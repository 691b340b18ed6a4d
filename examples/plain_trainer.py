"""A `pl.Trainer` of one's own, with Lightning's callbacks and loggers, on an agent and its data module."""

import tempfile
from pathlib import Path

import pandas as pd
import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger

from mfmarl import MFQ, EpsilonGreedy, GaussianSqueeze, ReplayDataModule


class LogScores(pl.Callback):
    """Writes the mean over seeds of every score to Lightning's logger."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """An evaluation is over."""
        assert isinstance(pl_module, MFQ)
        assert trainer.logger is not None
        means = {name: float(values.mean()) for name, values in pl_module.scores.items()}
        trainer.logger.log_metrics(means, trainer.current_epoch)


if __name__ == "__main__":
    game, seeds = GaussianSqueeze(agents=20, mu=80, sigma=40), range(4)
    agent = MFQ(game, seeds, learning_rate=1e-2, exploration=EpsilonGreedy(1.0, 0.01, 500))
    data = ReplayDataModule(game, seeds, steps=1000, evaluations=10)
    with tempfile.TemporaryDirectory() as directory:
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=data.evaluations,  # an epoch lies between two evaluations
            limit_val_batches=1,
            num_sanity_val_steps=0,
            logger=CSVLogger(directory),
            callbacks=[LogScores(), ModelCheckpoint(f"{directory}/checkpoints", save_last=True)],
            log_every_n_steps=1,
            enable_progress_bar=False,
        )
        trainer.fit(agent, datamodule=data)
        print(pd.read_csv(Path(trainer.log_dir or directory) / "metrics.csv")[["step", "greedy_reward"]])
        print("checkpoints:", *sorted(path.name for path in Path(directory).rglob("*.ckpt")))
