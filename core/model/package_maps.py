"""Class maps that only the grad-cam package offers: Grad-CAM++, LayerCAM, EigenCAM; and its ROAD metric.

Concurrent calls of the package on one model crash the interpreter, it leaves hooks and gradients behind, and it
stretches every map to [0, 1]. So it works here on a network of its own, behind one lock for the whole process, and its
maps come back raw. Plain Grad-CAM does not come from here: see :mod:`core.model.gradcam`.

References
----------
Gildenblat et al., https://github.com/jacobgil/pytorch-grad-cam; Chattopadhay et al. (2018), WACV (Grad-CAM++);
Jiang et al. (2021), IEEE TIP 30 (LayerCAM); Muhammad and Yeasin (2020), IJCNN (EigenCAM); Rong et al. (2022), ICML
(ROAD).
"""

from __future__ import annotations

import copy
import threading
from typing import Any, Literal, get_args

import numpy as np
import torch

from core.errors import ModelError
from core.model.architectures import Network
from core.model.preprocessing import normalise

Method = Literal["gradcam", "gradcam++", "layercam", "eigencam"]

#: One call of the package at a time, whatever the model.
_lock = threading.Lock()


class PackageExplainer:
    """The grad-cam package on a copy of a network.

    Parameters
    ----------
    network : Network
        Copied; the original gets no hook, gradient or change of mode.
    """

    def __init__(self, network: Network) -> None:
        self._network = copy.deepcopy(network).to("cpu").eval()

    def class_maps(self, prepared: np.ndarray, method: Method) -> np.ndarray:
        """Raw maps of every class.

        Parameters
        ----------
        prepared : uint8 array, shape (B, size, size), in colour (B, size, size, 3)
            As :func:`core.model.preprocessing.prepare` gives them.
        method : {"gradcam", "gradcam++", "layercam", "eigencam"}
            EigenCAM knows no class: its map is the same for all.

        Returns
        -------
        float32 array, shape (B, k, h, w)
            Rectified, on the method's own scale.

        Raises
        ------
        ModelError
            If the package is not installed or has no such method.
        """
        if method not in get_args(Method):
            raise ModelError(f"unknown method {method!r}. Fix: use one of {', '.join(get_args(Method))}.")
        package = _package()
        kind = {
            "gradcam": package.GradCAM,
            "gradcam++": package.GradCAMPlusPlus,
            "layercam": package.LayerCAM,
            "eigencam": package.EigenCAM,
        }[method]
        n_classes = self._network.n_classes
        with _lock:
            cam = kind(model=self._network, target_layers=[self._network.trunk])
            try:
                if method == "eigencam":
                    one = self._raw_map(cam, prepared, 0)
                    return np.repeat(one[:, None], n_classes, axis=1)
                return np.stack([self._raw_map(cam, prepared, index) for index in range(n_classes)], axis=1)
            finally:
                cam.activations_and_grads.release()

    def _raw_map(self, cam: Any, prepared: np.ndarray, class_index: int) -> np.ndarray:
        """One class of one batch (B, h, w), before the package stretches it."""
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        targets = [ClassifierOutputTarget(class_index)] * len(prepared)
        # Weights of a loaded checkpoint are frozen; a gradient on the images keeps the graph the package needs.
        images = normalise(torch.from_numpy(prepared)).requires_grad_(True)
        cam(input_tensor=images, targets=targets)
        activations = cam.activations_and_grads.activations[0].numpy()
        gradients = cam.activations_and_grads.gradients
        gradient = gradients[0].numpy() if gradients else None
        raw = cam.get_cam_image(images, self._network.trunk, targets, activations, gradient, False)
        return np.maximum(np.asarray(raw, dtype=np.float32), 0)

    def road(self, prepared: np.ndarray, relevance: np.ndarray, class_index: int, *, seed: int = 0) -> np.ndarray:
        """ROAD (combined): how much more the probability falls when the most relevant pixels go than the least.

        Parameters
        ----------
        prepared : uint8 array, shape (B, size, size), in colour (B, size, size, 3)
        relevance : float array, shape (B, size, size)
            Enlarged class maps (:func:`core.model.class_maps.enlarge`); each is stretched to [0, 1] here.
        class_index : int
        seed : int
            Of the noise that the imputation adds.

        Returns
        -------
        float64 array, shape (B,)
            In units of probability; positive is better than a random map, which scores about 0.
        """
        _package()
        from pytorch_grad_cam.metrics.road import ROADCombined
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget

        low = relevance.min(axis=(1, 2), keepdims=True)
        span = relevance.max(axis=(1, 2), keepdims=True) - low
        stretched = ((relevance - low) / np.where(span > 0, span, 1)).astype(np.float32)
        with _lock, torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            scores = ROADCombined(percentiles=[20, 40, 60, 80])(
                normalise(torch.from_numpy(prepared)),
                stretched,
                [ClassifierOutputSoftmaxTarget(class_index)] * len(prepared),
                self._network,
            )
        return np.asarray(scores, dtype=np.float64)


def _package() -> Any:
    """The grad-cam package, imported when first used: it brings OpenCV, scikit-learn and Matplotlib."""
    try:
        import pytorch_grad_cam
    except ImportError as error:
        raise ModelError("the grad-cam package is not installed. Fix: pip install grad-cam.") from error
    return pytorch_grad_cam
