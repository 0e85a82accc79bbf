"""`fit`: train a method into a run folder, from the start or from where it stopped."""

from __future__ import annotations

import logging
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models.checkpoint import save_model

from .callbacks import CsvHistory, EpochLines, MovingAverage, ProgressBar
from .config import TrainConfig
from .devices import on_gpu, process_count
from .engine import Engine
from .loading import TrainingData
from .method import Method
from .run_folder import RunFolder, plain


def seed_everything(config: TrainConfig) -> None:
    """Seed Python, NumPy and torch and set torch's threads; call it before models are built."""
    pl.seed_everything(config.seed, verbose=False)
    if config.threads > 0:
        torch.set_num_threads(config.threads)


def fit(
    method: Method,
    data: TrainingData,
    config: TrainConfig,
    run: RunFolder,
    settings: Mapping[str, Any],
    *,
    resume: bool = False,
    report: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Train `method` and save its models in `run`.

    Args:
        method: losses and models.
        data: training and validation samples.
        config: engine settings.
        run: where everything goes.
        settings: the whole configuration, kept in the run folder and beside the models.
        resume: continue an interrupted run; a finished one is returned as it is.
        report: gets a line of text per epoch; None = a progress bar instead.

    Returns:
        Figures of the run: steps, seconds, peak memory, trainable parameters, last and best validation.

    Raises:
        UserError: the run folder belongs to another run, or an option is unusable, here or anywhere.
    """
    processes = process_count(config.devices, config.accelerator)
    if config.minutes > 0 and processes > 1:
        raise UserError(
            f"train.minutes with {processes} processes would let their clocks part and hang; give train.steps or "
            "train.epochs, or --train.devices 1."
        )
    history = CsvHistory(run.metrics)
    average = MovingAverage(config.ema) if config.ema > 0 else None
    observer = EpochLines(run.path.name, history, report) if report else ProgressBar()
    callbacks = [history, *([average] if average else []), observer]
    # Lightning's own lines repeat what the run folder says; its warnings stay.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    # Before the folder is opened: a device that is not there leaves nothing behind.
    trainer = None if run.finished else _trainer(config, processes, run, data, callbacks)
    # Further processes of a distributed run start this function anew, inside the folder that the first has opened.
    checkpoint = run.open(settings, resume) if getattr(rank_zero_only, "rank", 0) == 0 else run.checkpoint()
    if trainer is None:
        return run.read_result()
    engine = Engine(method, data, config)
    started = time.monotonic()
    method.train()  # Models that were loaded from disk come in eval mode, and Lightning leaves modes as they are.
    with _interrupts_as_such(trainer):
        trainer.fit(engine, ckpt_path=str(checkpoint) if checkpoint else None, weights_only=True)
    if average is not None:
        average.on_train_end(trainer, engine)  # Lightning leaves it out when the checkpoint was the last one.
    _restore_best(engine, trainer, config)
    result = _result(engine, trainer, history, time.monotonic() - started)
    if trainer.is_global_zero:
        for mode, model in method.deployable().items():
            save_model(model, run.models / mode, {**result, "settings": plain(settings)})
        run.write_result(result)
    trainer.strategy.barrier()  # what follows on any process may read the models
    return result


def _trainer(
    config: TrainConfig, processes: int, run: RunFolder, data: TrainingData, observers: Sequence[pl.Callback]
) -> pl.Trainer:
    best = ModelCheckpoint(
        run.checkpoints,
        "best",
        monitor="val/miou" if data.validation else None,
        mode="max",
        enable_version_counter=False,
    )
    last = ModelCheckpoint(run.checkpoints, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    callbacks = list(observers)
    if data.validation is not None:
        if config.patience > 0:
            callbacks.append(EarlyStopping("val/miou", patience=config.patience, mode="max"))
        if config.keep == "best":
            callbacks.append(best)
    callbacks.append(last)
    with _usable(config):
        return pl.Trainer(
            default_root_dir=run.path,
            accelerator=config.accelerator,
            devices=processes,
            # Terms that a ramp leaves out have parameters without gradients in that step.
            strategy="ddp_find_unused_parameters_true" if processes > 1 else "auto",
            sync_batchnorm=config.sync_batchnorm and processes > 1 and on_gpu(config.accelerator),
            precision=config.precision,
            max_epochs=-1,
            max_steps=config.total_steps(len(data.train), processes),
            accumulate_grad_batches=config.accumulate,
            gradient_clip_val=config.optimizer.clip or None,
            check_val_every_n_epoch=config.validate_every,
            limit_val_batches=1.0 if data.validation is not None else 0,
            num_sanity_val_steps=0,
            reload_dataloaders_every_n_epochs=1,
            use_distributed_sampler=False,
            log_every_n_steps=min(config.log_every, config.steps_per_epoch(len(data.train), processes)),
            logger=TensorBoardLogger(run.path, name="tensorboard", version=""),
            callbacks=callbacks,
            enable_progress_bar=any(isinstance(o, ProgressBar) for o in observers),
            enable_model_summary=False,
        )


@contextmanager
def _usable(config: TrainConfig) -> Iterator[None]:
    """Turns what Lightning finds wrong with the options into one sentence."""
    try:
        yield
    except (MisconfigurationException, ValueError) as error:
        chosen = f"train.accelerator {config.accelerator}, train.devices {config.devices}"
        raise UserError(f"{chosen}, train.precision {config.precision} cannot be used here: {error}") from error


@contextmanager
def _interrupts_as_such(trainer: pl.Trainer) -> Iterator[None]:
    """Makes ^C a `KeyboardInterrupt` again: Lightning leaves the process with status 1, or goes on as if it were done.

    The first in 2.6, the second in older versions. It also has SIGINT ignored from then on.
    """
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        if not trainer.interrupted:
            raise
    if trainer.interrupted:
        if in_main:
            signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt


def _restore_best(engine: Engine, trainer: pl.Trainer, config: TrainConfig) -> None:
    kept = [c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint) and c.monitor is not None]
    if config.keep == "best" and kept and kept[0].best_model_path:
        state = torch.load(kept[0].best_model_path, map_location="cpu", weights_only=True)["state_dict"]
        engine.load_state_dict(state)


def _result(engine: Engine, trainer: pl.Trainer, history: CsvHistory, seconds: float) -> dict[str, Any]:
    validations = [row for row in history.rows if "val/miou" in row]
    gpu = trainer.strategy.root_device.type == "cuda"
    peak = torch.cuda.max_memory_allocated() if gpu else 0
    return {
        "steps": trainer.global_step,
        "seconds": round(engine.elapsed_s, 3),
        "step_ms": round(1e3 * engine.stepping_s / max(1, trainer.global_step), 3),
        "seconds_last_part": round(seconds, 3),
        "parameters_trained": sum(p.numel() for p in engine.method.parameters() if p.requires_grad),
        "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "peak_gpu_mib": round(peak / 2**20, 1),
        "device": torch.cuda.get_device_name() if gpu else "cpu",
        "validation": validations[-1] if validations else {},
        "best_validation": max(validations, key=lambda row: row["val/miou"], default={}),
    }
