"""Which distorters of a zoo are alike: distances of all pairs, groups, and an order by likeness."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bapps_gen.cnn_distorters.verdict import ZooLimits, find_twins, shares_of
from bapps_gen.pipelines.validation.zoo_measures import Values, ZooMeasures, pair_indices, rounded

_CLOSEST = 24


def compare_pairs(measures: ZooMeasures, limits: ZooLimits) -> dict[str, Any] | None:
    """All pairs as plain values for JSON; None for a single distorter.

    - "ids": the order of the matrices' rows and columns;
    - "lpips": median LPIPS between outputs, a matrix; "rmse": of all pixels, of full scale;
      "correlation": of the changes made to the patches, about 0, from -1 to 1;
    - "nearest": by id, the one nearest by LPIPS; "share" is of the LPIPS to the input;
    - "closest", "closest_by_share": the pairs with the smallest LPIPS, or share of the lesser of
      the two LPIPS to the input; "same" and "near": those below
      the limits, the former in groups;
    - "order": ids so that neighbors are alike; "groups": that order, cut where the mean LPIPS
      between groups is `limits.group` or more (average linkage, leaves ordered optimally:
      Bar-Joseph, Gifford and Jaakkola 2001).

    Args:
        measures: of at least one distorter.
        limits: what counts as the same function, a near duplicate, a group.
    """
    from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
    from scipy.spatial.distance import squareform

    ids, count = measures.ids, len(measures.ids)
    if count < 2:
        return None
    first, second = pair_indices(count)
    between = np.round(np.median(measures.pairs, 0), 6)
    matrix = squareform(between)
    own = np.median(measures.lpips, 0)
    lesser = np.minimum(own[first], own[second])
    squares = measures.products.diagonal()
    values = len(measures.lpips) * measures.shown[0, 0].size
    apart = squares[:, None] + squares[None] - 2 * measures.products
    norms = np.sqrt(np.outer(squares, squares))
    correlation = np.divide(measures.products, norms, out=np.zeros_like(norms), where=norms > 0)

    def pair(index: int) -> dict[str, Any]:
        a, b = int(first[index]), int(second[index])
        return {
            "ids": [ids[a], ids[b]],
            "lpips": rounded(between[index]),
            "share": _share(between[index], lesser[index]),
            "correlation": rounded(correlation[a, b]),
        }

    by_distance = np.argsort(between, kind="stable")
    by_share = np.argsort(shares_of(between, lesser), kind="stable")
    tree = linkage(between, "average", optimal_ordering=True)
    order = [int(leaf) for leaf in leaves_list(tree)]
    labels = fcluster(tree, limits.group, "distance")
    is_same, is_near = find_twins(between, lesser, limits)
    return {
        "ids": list(ids),
        "median": rounded(np.median(between)),
        "lpips": _rows(matrix),
        "rmse": _rows(np.sqrt(np.maximum(apart, 0.0) / values) / 255),
        "correlation": _rows(correlation),
        "nearest": _nearest(ids, matrix, own),
        "closest": [pair(index) for index in by_distance[:_CLOSEST]],
        "closest_by_share": [pair(index) for index in by_share[:_CLOSEST]],
        "same": _same(ids, matrix, squareform(is_same)),
        "near": [pair(index) for index in by_share if is_near[index]],
        "order": [ids[leaf] for leaf in order],
        "groups": _groups(ids, order, labels),
    }


def _share(distance: float, own: float) -> float | None:
    return rounded(distance / own) if own > 0 else None


def _rows(matrix: Values) -> list[list[float]]:
    return [[rounded(value) for value in row] for row in matrix]


def _nearest(ids: tuple[str, ...], matrix: Values, own: Values) -> dict[str, Any]:
    hidden = matrix + np.diag(np.full(len(ids), np.inf))
    nearest = {}
    for index, other in enumerate(hidden.argmin(1)):
        distance = matrix[index, other]
        nearest[ids[index]] = {
            "id": ids[int(other)],
            "lpips": rounded(distance),
            "share": _share(distance, own[index]),
        }
    return nearest


def _same(ids: tuple[str, ...], matrix: Values, joined: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Distorters joined by pairs, with the largest distance that it takes to join them."""
    from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

    count, labels = connected_components(joined, directed=False)
    groups = []
    for label in range(count):
        members = np.flatnonzero(labels == label)
        if len(members) > 1:
            # Zeros are no edges to scipy, so distances are raised by 1.
            links = minimum_spanning_tree(matrix[np.ix_(members, members)] + 1).data - 1
            groups.append({"ids": [ids[index] for index in members], "lpips": rounded(links.max())})
    return groups


def _groups(ids: tuple[str, ...], order: list[int], labels: NDArray[np.int32]) -> list[list[str]]:
    groups: list[list[str]] = []
    for index, leaf in enumerate(order):
        if index == 0 or labels[leaf] != labels[order[index - 1]]:
            groups.append([])
        groups[-1].append(ids[leaf])
    return groups
