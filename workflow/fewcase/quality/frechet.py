"""The Fréchet distance between the normal distributions fitted to two sets of features."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import scipy.linalg.lapack
import torch

from fewcase.quality.arithmetic import Features, feature_tensor

Float64 = npt.NDArray[np.float64]

#: Below so many images of either set the covariance of 2,048 Inception features is singular.
FEWEST_IMAGES = 2048

_CHUNK = 4096
_MOST_DOUBT = 1e-7


@dataclasses.dataclass(frozen=True)
class Moments:
    """Count, mean and scatter of features seen so far; two of them merge into one.

    Attributes
    ----------
    count
        Number of images.
    mean
        (d,) float64.
    scatter
        (d, d) float64: sum of the outer products of deviations from the mean.
    """

    count: int
    mean: Float64
    scatter: Float64

    def merged(self, other: Moments) -> Moments:
        """Return the moments of both sets together.

        References
        ----------
        Chan, Golub and LeVeque, The American Statistician 37, 242-247, 1983.
        """
        count = self.count + other.count
        if count == 0:
            return self
        apart = other.mean - self.mean
        return Moments(
            count,
            self.mean + apart * (other.count / count),
            self.scatter
            + other.scatter
            + np.outer(apart, apart) * (self.count * other.count / count),
        )

    def covariance(self) -> Float64:
        """Return the unbiased covariance (d, d)."""
        if self.count < 2:
            raise ValueError(f"{self.count} images have no covariance")
        return self.scatter / (self.count - 1)

    def gaussian(self) -> Gaussian:
        """Return the fitted normal distribution."""
        covariance = self.covariance()
        return Gaussian(self.mean, _cholesky(covariance), float(np.trace(covariance)))


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """A normal distribution whose covariance may be singular.

    Attributes
    ----------
    mean
        (d,) float64.
    factor
        (r, d) float64, r at most d: its transpose times itself is the covariance.
    trace
        Of the covariance.
    """

    mean: Float64
    factor: Float64
    trace: float


def moments_of(features: Features, device: str = "cpu", chunk: int = _CHUNK) -> Moments:
    """Return the moments of features (n, d), accumulated in float64 over chunks of rows."""
    tensor = feature_tensor(features, device, "features")
    width = tensor.shape[1]
    mean = torch.zeros(width, dtype=torch.float64, device=device)
    scatter = torch.zeros(width, width, dtype=torch.float64, device=device)
    count = 0
    for part in tensor.split(chunk):
        if not len(part):
            continue
        wide = part.double()
        own = wide.mean(dim=0)
        wide = wide - own
        apart = own - mean
        total = count + len(part)
        scatter += _scatter(wide)
        scatter.addr_(apart, apart, alpha=count * len(part) / total)
        mean += apart * (len(part) / total)
        count = total
    return Moments(count, mean.cpu().numpy(), scatter.cpu().numpy())


def _scatter(centred: torch.Tensor) -> torch.Tensor:
    """Return the sum of outer products (d, d) of rows (n, d)."""
    if centred.device.type != "cpu":
        return centred.T @ centred
    # NumPy sees that both factors are one, and computes half of the product.
    rows = centred.numpy()
    return torch.from_numpy(rows.T @ rows)


def fit_gaussian(features: Features, device: str = "cpu") -> Gaussian:
    """Fit a normal distribution to features (n, d), n at least 2.

    Of fewer images than features the deviations from the mean are the factor themselves; nothing
    is lost by squaring them first.
    """
    images, width = np.shape(features)
    if images > width or images < 2:
        return moments_of(features, device).gaussian()
    wide = feature_tensor(features, "cpu", "features").double().numpy()
    mean = wide.mean(axis=0)
    factor = (wide - mean) / np.sqrt(images - 1)
    return Gaussian(mean, factor, float(np.vdot(factor, factor)))


def frechet_distance(first: Gaussian, second: Gaussian) -> float:
    """Return the squared Fréchet distance |m₁ - m₂|² + tr(C₁ + C₂ - 2 (C₁ C₂)^½).

    The trace of the root is the sum of the singular values of the product of the factors, which
    holds for singular covariances too. It is computed on the CPU in float64, whatever computed the
    moments.

    References
    ----------
    Dowson and Landau, Journal of Multivariate Analysis 12, 450-455, 1982; as a measure of
    generators Heusel et al., Advances in Neural Information Processing Systems 30, 2017.
    """
    if len(first.mean) != len(second.mean):
        raise ValueError(
            f"features of {len(first.mean)} and of {len(second.mean)} numbers cannot be compared"
        )
    apart = first.mean - second.mean
    traces = first.trace + second.trace
    shared = _nuclear_norm(first.factor @ second.factor.T, min(_MOST_DOUBT, 1e-9 * traces))
    distance = float(apart @ apart) + traces - 2 * shared
    # Of equal sets the terms cancel, and what round-off leaves may be negative.
    return max(distance, 0.0)


def _nuclear_norm(matrix: Float64, doubt: float) -> float:
    """Return the sum of singular values, certain to about `doubt`.

    The roots of the eigenvalues of the matrix times itself are four times as fast, but small ones
    drown in the round-off of large ones; where that may matter, they are not taken.
    """
    if matrix.shape[0] > matrix.shape[1]:
        matrix = matrix.T
    squares = torch.linalg.eigvalsh(torch.from_numpy(matrix @ matrix.T)).clamp(min=0)
    values = squares.sqrt()
    largest = float(squares.max()) if len(squares) else 0.0
    error = np.finfo(np.float64).eps * np.sqrt(len(squares)) * largest
    if largest == 0 or float((error / (2 * values)).sum()) <= doubt:
        return float(values.sum())
    return float(torch.linalg.svdvals(torch.from_numpy(matrix)).sum())


def _cholesky(covariance: Float64) -> Float64:
    """Return (r, d), whose transpose times itself is the covariance, r being its rank."""
    lower, pivots, rank, problem = scipy.linalg.lapack.dpstrf(covariance, lower=1)
    if problem < 0:
        raise ValueError(f"dpstrf: argument {-problem} is not valid")
    lower = np.tril(lower)[:, :rank]
    factor = np.empty_like(lower)
    factor[pivots - 1] = lower
    return np.ascontiguousarray(factor.T)
