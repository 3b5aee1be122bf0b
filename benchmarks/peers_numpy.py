"""numpy and scipy in float64, as the paper's own program computed: loops over 2-d convolutions."""

import numpy as np
from scipy.signal import convolve2d, correlate2d

from benchmarks.peers import Weights, floats, layers, named
from emnist_jax.data import Split


class Numpy:
    """One network; forward and backward written out, layer by layer."""

    trials = 1

    def __init__(self, rule: str, rate: float, weights: Weights, split: Split):
        self.images, self.labels = floats(split, np.float64).transpose(0, 3, 1, 2), split.labels
        convs, dense = layers(weights)
        self.convs = len(convs)
        self.params = [np.array(p, np.float64) for layer in convs + dense for p in layer]
        self.rule, self.rate, self.count = rule, rate, 0
        self.m = [np.zeros_like(p) for p in self.params]
        self.v = [np.zeros_like(p) for p in self.params]

    def run(self, order: np.ndarray) -> None:
        """Make an update on each minibatch of `order`, (steps, 1, batch)."""
        for rows in order[:, 0]:
            self.update(self.gradients(self.images[rows], self.labels[rows]))

    def weights(self) -> list[Weights]:
        """Return the weights of the network."""
        return [named(self.params)]

    def update(self, grads: list[np.ndarray]) -> None:
        """Apply the learning rule in place."""
        self.count += 1
        if self.rule == "sgd":
            for p, g in zip(self.params, grads, strict=True):
                p -= self.rate * g
            return
        b1, b2 = 0.9, 0.999
        for p, g, m, v in zip(self.params, grads, self.m, self.v, strict=True):
            m *= b1
            m += (1 - b1) * g
            v *= b2
            v += (1 - b2) * g**2
            root = np.sqrt(v / (1 - b2**self.count))
            p -= self.rate * (m / (1 - b1**self.count)) / (root + 1e-8)

    def gradients(self, x: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
        """Return the gradients of the mean cross-entropy: images (n, channels, height, width)."""
        pairs = list(zip(self.params[::2], self.params[1::2], strict=True))
        convs, dense = pairs[: self.convs], pairs[self.convs :]
        maps, inputs = [], []
        for kernel, bias in convs:
            y = conv_forward(x, kernel, bias)
            pooled, winner = pool_forward(np.maximum(y, 0))
            maps.append((x, y, winner))
            x = pooled
        shape, x = x.shape, x.reshape(len(x), -1)
        for i, (kernel, bias) in enumerate(dense):
            x = np.maximum(x, 0) if i else x
            inputs.append(x)
            x = x @ kernel + bias
        x = np.exp(x - x.max(1, keepdims=True))
        x /= x.sum(1, keepdims=True)
        x[np.arange(len(labels)), labels] -= 1
        g, grads = x / len(labels), []
        for i in reversed(range(len(dense))):
            grads = [inputs[i].T @ g, g.sum(0), *grads]
            if i or convs:
                g = g @ dense[i][0].T
            if i:
                g = g * (inputs[i] > 0)
        g = g.reshape(shape) if self.convs else g
        for i in reversed(range(self.convs)):
            x, y, winner = maps[i]
            g = pool_backward(g, winner) * (y > 0)
            g, own = conv_backward(x, convs[i][0], g, inputs=i > 0)
            grads = [*own, *grads]
        return grads


def conv_forward(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Cross-correlate (n, in, h, w) with (rows, columns, in, out), keeping the size."""
    pad = kernel.shape[0] // 2
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    y = np.empty((len(x), kernel.shape[3], *x.shape[2:]))
    y[:] = bias[:, None, None]
    for n in range(len(x)):
        for o in range(kernel.shape[3]):
            for i in range(kernel.shape[2]):
                y[n, o] += correlate2d(padded[n, i], kernel[:, :, i, o], "valid")
    return y


def conv_backward(x: np.ndarray, kernel: np.ndarray, g: np.ndarray, inputs: bool):
    """Return the gradient of the inputs (None unless wanted), and those of kernel and bias."""
    pad = kernel.shape[0] // 2
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    kernel_gradient, x_gradient = np.zeros_like(kernel), np.zeros_like(x) if inputs else None
    for n in range(len(x)):
        for o in range(kernel.shape[3]):
            for i in range(kernel.shape[2]):
                kernel_gradient[:, :, i, o] += correlate2d(padded[n, i], g[n, o], "valid")
                if inputs:
                    x_gradient[n, i] += convolve2d(g[n, o], kernel[:, :, i, o], "same")
    return x_gradient, (kernel_gradient, g.sum((0, 2, 3)))


def pool_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the maxima of 2x2 windows, and where they are, as a mask of x's shape."""
    n, channels, height, width = x.shape
    windows = x.reshape(n, channels, height // 2, 2, width // 2, 2).swapaxes(3, 4)
    windows = windows.reshape(n, channels, height // 2, width // 2, 4)
    return windows.max(-1), windows.argmax(-1)


def pool_backward(g: np.ndarray, winner: np.ndarray) -> np.ndarray:
    """Send each gradient to its window's maximum."""
    n, channels, height, width = g.shape
    windows = np.where(winner[..., None] == np.arange(4), g[..., None], 0.0)
    windows = windows.reshape(n, channels, height, width, 2, 2).swapaxes(3, 4)
    return windows.reshape(n, channels, 2 * height, 2 * width)
