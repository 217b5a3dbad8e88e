"""Tell pictures that show the same place from pictures that merely look alike.

A difference hash of the middle crop: brighter or darker than the pixel to its right, on a
coarse grid of the nodule's surroundings. It survives other windows, scaling and compression.
"""

import cv2
import numpy as np

SIDE = 16
BITS = SIDE * SIDE


def perceptual_hash(crops: np.ndarray) -> str:
    """64 hex digits (256 bits) for crops (n, 128, 128), taken from the middle one."""
    middle = crops[len(crops) // 2].astype(np.float32)
    small = cv2.resize(middle, (SIDE + 1, SIDE), interpolation=cv2.INTER_AREA)
    bits = small[:, 1:] > small[:, :-1]
    return np.packbits(bits.ravel()).tobytes().hex()


def distance(one: str, other: str) -> int:
    """How many of the 256 bits differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()
