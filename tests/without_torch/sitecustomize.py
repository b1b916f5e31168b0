"""Put first on PYTHONPATH, this makes a process one where requirements-web.txt is installed and nothing more."""

import sys

NOT_INSTALLED = ("torch", "torchvision", "lightning_fabric", "pytorch_grad_cam", "onnx")


class _Missing:
    """Finds nothing where a package is not installed."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in NOT_INSTALLED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, _Missing())  # type: ignore[arg-type]  # one method is enough of a finder
