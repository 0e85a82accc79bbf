"""The joint training of an RGB and a depth model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import SegmentationModel

from ..figures import Figures
from ..losses import segmentation_loss, sparse_labels
from ..method import Batch, LossTerm, Method
from .averages import AverageModels
from .config import CrodinoConfig, ramp
from .correspondence import other_view_grid, sample_other_view
from .losses import centred, class_prototypes, info_nce, joint_opinion, mutual_divergence, orthogonality
from .parts import AuxiliaryDecoder, EmbeddingQueue, ProjectionHead

MODALITIES: tuple[Literal["rgb"], Literal["depth"]] = ("rgb", "depth")


class View(NamedTuple):
    """One modality in one step: label, split features, their halves, and scores at the decoder's stride."""

    label: Tensor
    features: Tensor
    invariant: Tensor
    specific: Tensor
    scores: Tensor


def label_of(batch: Batch, modality: str) -> Tensor:
    """The label that lines up with a modality's image, whether its augmentation was its own or shared."""
    return batch[f"label_{modality}"] if f"label_{modality}" in batch else batch["label"]


class CrodinoMethod(Method):
    """CroDiNo-KD.

    Both models see their own modality through their own augmentation. The deepest features of each (or others, see
    `CrodinoConfig.split_level`) are split by channels into an invariant and a specific half; auxiliary terms act on the
    halves while the decoders see both.
    What is deployed are the two models alone: nothing of the auxiliary parts is in their graphs.

    Args:
        rgb: single-stream model of the registry with input `rgb`.
        depth: single-stream model with input `depth`, its split features as wide as the other's.
        config: weights and variants.

    Raises:
        UserError: the models do not fit together.
    """

    augmentation = "decoupled"

    def __init__(self, rgb: SegmentationModel, depth: SegmentationModel, config: CrodinoConfig) -> None:
        super().__init__()
        level, levels = config.split_level, min(len(rgb.feature_channels), len(depth.feature_channels))
        if level < -levels:
            raise UserError(
                f"crodino.split_level is {level}, but the encoders give {levels} levels; give -1 to -{levels}."
            )
        width = rgb.feature_channels[level]
        if depth.feature_channels[level] != width or depth.spec.num_classes != rgb.spec.num_classes:
            raise UserError(
                f"The RGB model has {width} channels to split and {rgb.spec.num_classes} classes, the depth model "
                f"{depth.feature_channels[level]} and {depth.spec.num_classes}; CroDiNo-KD needs them equal."
            )
        self.config = config
        self.models = nn.ModuleDict({"rgb": rgb, "depth": depth})
        self._half = width // 2
        self._num_classes = rgb.spec.num_classes
        self._views: dict[str, View] = {}
        self._probes: dict[str, Tensor] = {}
        self._build_parts(width)

    def _build_parts(self, width: int) -> None:
        config, half = self.config, self._half
        if config.w_aux > 0:
            if config.aux_shared and width % 2:
                raise UserError(f"The features to split have {width} channels; a shared split needs an even number.")
            count = 1 if config.aux_shared else 4
            widths = [half, half, width - half, width - half][:count]
            self.auxiliary = nn.ModuleList(AuxiliaryDecoder(w, config.aux_width, self._num_classes) for w in widths)
        if config.w_con > 0:
            self.projection = ProjectionHead(half, config.embedding)
            if config.queue > 0:
                self.queue = EmbeddingQueue(config.queue, config.embedding)
                self.key_networks = AverageModels(self._query_networks(), config.queue_momentum)
        if config.w_disc > 0:
            self.discriminator = nn.Linear(width - half, len(MODALITIES))
        if config.w_mutual > 0 and config.mutual_average > 0:
            self.averages = AverageModels(self.deployable(), config.mutual_average)

    def deployable(self) -> Mapping[str, SegmentationModel]:
        """The RGB and the depth model."""
        return {name: self.models[name] for name in MODALITIES}  # type: ignore[misc]

    def clip_groups(self) -> dict[str, list[nn.Parameter]]:
        """Each model by itself, as if it were trained alone, and the parts that exist in training only."""
        groups: dict[str, list[nn.Parameter]] = {}
        for name in MODALITIES:
            groups[name] = [p for p in self.models[name].parameters() if p.requires_grad]
        models = {id(p) for group in groups.values() for p in group}
        rest = [p for p in self.parameters() if p.requires_grad and id(p) not in models]
        return {**groups, "auxiliary_parts": rest} if rest else groups

    def share_points(self) -> dict[str, Tensor]:
        """The features of both models that are split, by default the deepest."""
        return {f"h_{name}": view.features for name, view in self._views.items()}

    def probes(self) -> Figures:
        """Retrieval accuracy of the contrast, accuracy of the modality classifier, mean cos^2."""
        return self._probes

    def training_losses(self, batch: Batch) -> list[LossTerm]:
        """Segmentation loss of both models and every term that is on."""
        self._probes = {}
        self._views = {name: self._view(name, batch) for name in MODALITIES}
        config = self.config
        terms = [LossTerm(f"segmentation_{name}", self._segmentation(name)) for name in MODALITIES]
        if config.w_aux > 0:
            terms.append(LossTerm("auxiliary", self._auxiliary(), config.w_aux))
        contrast = config.w_con * ramp(self.progress, config.contrast_ramp)
        if contrast > 0:
            terms.append(LossTerm("contrast", self._contrast(batch), contrast))
        if config.w_disc > 0:
            terms.append(LossTerm("discrimination", self._discrimination(), config.w_disc))
        if config.w_orth > 0:
            terms.append(LossTerm("orthogonality", self._orthogonality(), config.w_orth))
        mutual = config.w_mutual * ramp(self.progress, config.mutual_ramp)
        if mutual > 0:
            terms.append(LossTerm("mutual", self._mutual(batch), mutual))
        return terms

    def _view(self, name: str, batch: Batch) -> View:
        model: SegmentationModel = self.models[name]  # type: ignore[assignment]
        features = model.encode(**{name: batch[name]})
        split = features[self.config.split_level]
        invariant, specific = split[:, : self._half], split[:, self._half :]
        return View(label_of(batch, name), split, invariant, specific, model.decode(features))

    def _segmentation(self, name: str) -> Tensor:
        view = self._views[name]
        return self.against_labels(view.scores, view.label)

    def _auxiliary(self) -> Tensor:
        labels = [sparse_labels({"label": v.label}, self.config.aux_stride)["label"] for v in self._views.values()]
        parts = [v.invariant for v in self._views.values()] + [v.specific for v in self._views.values()]
        if self.config.aux_norm == "joint":
            scores = list(self.auxiliary[0](torch.cat(parts)).chunk(len(parts)))
        else:
            scores = [self.auxiliary[i % len(self.auxiliary)](part) for i, part in enumerate(parts)]
        losses = [segmentation_loss(s, labels[i % 2], self.class_weights) for i, s in enumerate(scores)]
        return torch.stack(losses).sum() / 2

    # Contrast

    def _contrast(self, batch: Batch) -> Tensor:
        if self.config.contrast == "pixel":
            first, second = self._pixel_pairs(batch)
        elif self.config.contrast == "prototype":
            first, second = self._prototype_pairs()
        else:
            first, second = (v.invariant.mean((2, 3)) for v in self._views.values())
        if self.config.shuffle_pairs:
            # Drawn anew each time, true partners among them: a fixed permutation could be learnt, and one without
            # fixed points would push true partners apart.
            second = second[torch.randperm(len(second)).to(second.device)]
        if len(first) == 0:
            return first.sum()
        first, second = self.projection(first), self.projection(second)
        with torch.no_grad():
            nearest = (functional.normalize(first, dim=1) @ functional.normalize(second, dim=1).T).argmax(1)
            self._probes["contrast_retrieval"] = (
                (nearest == torch.arange(len(first), device=first.device)).float().mean()
            )
        if self.config.queue == 0:
            return info_nce(first, second, self.config.temperature)
        first, second = centred(first), centred(second)
        keys, earlier = self._keys(batch), self.queue.negatives()
        if self.training:
            self.queue.push(*keys)
        return info_nce(first, second, self.config.temperature, earlier, keys)

    def _query_networks(self) -> dict[str, nn.Module]:
        return {**self.deployable(), "projection": self.projection}

    @torch.no_grad()
    def _keys(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Embeddings of the batch by moving averages of models and head, RGB and depth.

        Negatives of earlier steps differ from the partner by what the networks have learned since, whatever the image.
        Averages learn slowly, and embeddings are centred in their batch: what all images have in common would grow with
        every step, because it tells new from old, until all embeddings are the same (measured, docs/results.md).
        """
        if self.training:
            self.key_networks.update(self._query_networks())
        networks, keys = self.key_networks.models, []
        for name in MODALITIES:
            model: SegmentationModel = networks[name]  # type: ignore[assignment]
            split = model.encode(**{name: batch[name]})[self.config.split_level]
            keys.append(centred(networks["projection"](split[:, : self._half].mean((2, 3)))))
        return keys[0], keys[1]

    def _prototype_pairs(self) -> tuple[Tensor, Tensor]:
        means, present = zip(
            *(class_prototypes(v.invariant, v.label, self._num_classes) for v in self._views.values()), strict=True
        )
        both = present[0] & present[1]
        return means[0][both], means[1][both]

    def _pixel_pairs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        rgb, depth = self._views["rgb"], self._views["depth"]
        other, valid = depth.invariant, None
        if "matrix_rgb" in batch:
            size = (batch["rgb"].shape[1], batch["rgb"].shape[2])
            cells = (rgb.invariant.shape[2], rgb.invariant.shape[3])
            grid = other_view_grid(batch["matrix_rgb"], batch["matrix_depth"], size, cells)
            other, valid = sample_other_view(depth.invariant, grid)
        first, second = (m.permute(0, 2, 3, 1).flatten(0, 2) for m in (rgb.invariant, other))
        chosen = torch.arange(len(first)) if valid is None else valid.flatten().cpu().nonzero()[:, 0]
        chosen = chosen[torch.randperm(len(chosen))[: self.config.pixels]].to(first.device)
        return first[chosen], second[chosen]

    # Other terms

    def _discrimination(self) -> Tensor:
        pooled = torch.cat([v.specific.mean((2, 3)) for v in self._views.values()])
        count = len(pooled) // 2
        target = torch.arange(2, device=pooled.device).repeat_interleave(count)
        if self.config.disc_norm == "layer":
            pooled = functional.layer_norm(pooled, pooled.shape[1:])
        scores = self.discriminator(pooled)
        self._probes["modality_accuracy"] = (scores.detach().argmax(1) == target).float().mean()
        # Sum of the two modalities' means, as in the formula.
        return 2 * functional.cross_entropy(scores.float(), target)

    def _orthogonality(self) -> Tensor:
        values = [orthogonality(v.invariant, v.specific) for v in self._views.values()]
        total = torch.stack(values).sum()
        self._probes["cos2"] = total.detach() / 2
        return total

    def _mutual(self, batch: Batch) -> Tensor:
        config = self.config
        scores = {name: view.scores.detach() for name, view in self._views.items()}
        if config.mutual_average > 0:
            if self.training:
                self.averages.update(self.deployable())
            scores = {name: self.averages.scores(name, batch[name]) for name in MODALITIES}
        soft = {name: (s.float() / config.mutual_temperature).softmax(1) for name, s in scores.items()}
        total = torch.zeros((), device=self._views["rgb"].scores.device)
        for own, other in (MODALITIES, MODALITIES[::-1]):
            if config.mutual_learners not in ("both", own):
                continue
            target = soft[other]
            valid = torch.ones_like(target[:, 0], dtype=torch.bool)
            if "matrix_rgb" in batch:
                size = (batch["rgb"].shape[1], batch["rgb"].shape[2])
                cells = (target.shape[2], target.shape[3])
                grid = other_view_grid(batch[f"matrix_{own}"], batch[f"matrix_{other}"], size, cells)
                target, valid = sample_other_view(target, grid)
            if config.mutual_target == "mean":
                target = joint_opinion(soft[own], target)
            total = total + mutual_divergence(self._views[own].scores / config.mutual_temperature, target, valid)
        return config.mutual_temperature**2 * total
