"""A small residual network whose last map is fine enough to point at a nodule.

The published networks end in a map of 1/32 of the image: at 160 pixels five cells a side, each as wide as a lobe. Here
the map keeps 1/8 (20 cells a side), and the last two blocks see wide by dilation instead of by shrinking. Sixteen
layers, 1.3 million weights; trained from random weights, since none are published for it.

References
----------
He et al. (2016), CVPR, 770-778 (residual blocks); Yu, Koltun and Funkhouser (2017), CVPR, 472-480 (dilation in place
of stride keeps small objects).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

#: Channels behind the stem; doubled at each of the two later halvings.
WIDTH = 32
#: Per block: output channels as a multiple of WIDTH, stride, dilation of the second convolution.
BLOCKS = ((1, 1, 1), (2, 2, 1), (2, 1, 1), (4, 2, 1), (4, 1, 1), (4, 1, 2), (4, 1, 2))


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut; begins as the shortcut alone (its last scale starts at zero)."""

    def __init__(self, n_in: int, n_out: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and n_in == n_out
            else nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))
        )
        for convolution in (self.conv1, self.conv2):
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.bn2.weight)

    def forward(self, signal: Tensor) -> Tensor:
        """(B, n_in, h, w) to (B, n_out, h / stride, w / stride)."""
        changed = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(signal)))))
        return functional.relu(self.shortcut(signal) + changed)


def trunk() -> nn.Sequential:
    """(B, 3, H, W) normalised image to the last map (B, 4 * WIDTH, H / 8, W / 8), random weights."""
    stem = (nn.Conv2d(3, WIDTH, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU())
    blocks, n_in = [], WIDTH
    for multiple, stride, dilation in BLOCKS:
        blocks.append(Block(n_in, multiple * WIDTH, stride, dilation))
        n_in = multiple * WIDTH
    return nn.Sequential(*stem, *blocks)
