"""The fixed world behind the orders: cities, customers and products, drawn once from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class City:
    """A place to deliver to. In `form` # is a digit; everything else stands for itself."""

    name: str
    country: str
    currency: str
    form: str

    def postcode(self, number: int) -> str:
        """A postcode of the city: the digits of `number` (0..9999) put in the form, last digit first."""
        digits = iter(f"{number:04d}"[::-1])
        return "".join(next(digits, "0") if character == "#" else character for character in self.form)


CITIES = (
    City("Paris", "FR", "EUR", "750##"),
    City("Lyon", "FR", "EUR", "6900#"),
    City("Marseille", "FR", "EUR", "130##"),
    City("Lille", "FR", "EUR", "59##0"),
    City("Berlin", "DE", "EUR", "10###"),
    City("Hamburg", "DE", "EUR", "20###"),
    City("München", "DE", "EUR", "80###"),
    City("Köln", "DE", "EUR", "50###"),
    City("Madrid", "ES", "EUR", "280##"),
    City("Barcelona", "ES", "EUR", "080##"),
    City("Sevilla", "ES", "EUR", "410##"),
    City("London", "GB", "GBP", "E# #AB"),
    City("Manchester", "GB", "GBP", "M# #QX"),
    City("Leeds", "GB", "GBP", "L# #DN"),
    City("Zürich", "CH", "CHF", "80##"),
    City("Genève", "CH", "CHF", "12##"),
    City("Warszawa", "PL", "PLN", "0#-###"),
    City("Kraków", "PL", "PLN", "3#-###"),
    City("Stockholm", "SE", "SEK", "11# ##"),
    City("Göteborg", "SE", "SEK", "41# ##"),
)

FIRST_NAMES = (
    "alice", "bruno", "chloe", "david", "emma", "felix", "grace", "hugo", "ines", "jonas", "karin", "louis", "maria", "nils", "olga",
    "paul", "rosa", "simon", "tina", "victor",
)  # fmt: skip
LAST_NAMES = (
    "martin", "bernard", "schmidt", "weber", "garcia", "lopez", "smith", "jones", "keller", "meier", "nowak", "larsson", "berg",
    "dubois", "fischer", "taylor", "roux",
)  # fmt: skip
MAIL_HOSTS = ("gmail.com", "outlook.com", "free.fr", "web.de", "proton.me")

CATEGORIES = (
    ("books", 14.0, 0.45),
    ("garden", 38.0, 3.2),
    ("fashion", 45.0, 0.6),
    ("kitchen", 62.0, 1.8),
    ("sports", 85.0, 2.4),
    ("electronics", 240.0, 1.1),
)
"""Name, typical price, typical weight in kg."""


def popularity(count: int, exponent: float) -> NDArray[np.float64]:
    """Cumulative shares of `count` things whose share falls with their rank as rank^-exponent."""
    shares: NDArray[np.float64] = np.cumsum((np.arange(count) + 3.0) ** -exponent)
    return shares / float(shares[-1])


@dataclass(frozen=True)
class Customers:
    """Who buys: ids, e-mail addresses, home cities (index in CITIES), and how often each of them buys."""

    ids: tuple[str, ...]
    emails: tuple[str, ...]
    cities: NDArray[np.int64]
    cumulative: NDArray[np.float64]

    @classmethod
    def drawn(cls, rng: np.random.Generator, count: int) -> Customers:
        """`count` customers; the larger cities have more."""
        first, last = rng.integers(0, len(FIRST_NAMES), count), rng.integers(0, len(LAST_NAMES), count)
        host, number = rng.integers(0, len(MAIL_HOSTS), count), rng.integers(1, 99, count)
        emails = tuple(
            f"{FIRST_NAMES[a]}.{LAST_NAMES[b]}{n}@{MAIL_HOSTS[h]}"
            for a, b, n, h in zip(first.tolist(), last.tolist(), number.tolist(), host.tolist(), strict=True)
        )
        cities = np.searchsorted(popularity(len(CITIES), 0.7), rng.random(count))
        return cls(tuple(f"C-{i:05d}" for i in range(count)), emails, cities, popularity(count, 0.4))

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Who placed each of `count` orders."""
        return np.searchsorted(self.cumulative, rng.random(count))


@dataclass(frozen=True)
class Products:
    """What is bought: article numbers, categories, list prices, weights of a piece in kg, and how often each is bought."""

    skus: tuple[str, ...]
    categories: tuple[str, ...]
    prices: NDArray[np.float64]
    weights: NDArray[np.float64]
    cumulative: NDArray[np.float64]

    @classmethod
    def drawn(cls, rng: np.random.Generator, count: int) -> Products:
        """`count` products, their prices and weights log-normal around what is typical of their category."""
        kinds = rng.integers(0, len(CATEGORIES), count)
        names = tuple(CATEGORIES[k][0] for k in kinds.tolist())
        prices = np.round(np.array([CATEGORIES[k][1] for k in kinds]) * np.exp(rng.normal(0, 0.4, count)), 0) - 0.05
        weights = np.round(np.array([CATEGORIES[k][2] for k in kinds]) * np.exp(rng.normal(0, 0.35, count)), 2)
        skus = tuple(f"{name[:3].upper()}{i:04d}" for i, name in enumerate(names))
        return cls(skus, names, prices, weights, popularity(count, 0.8))

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """What is bought in each of `count` orders."""
        return np.searchsorted(self.cumulative, rng.random(count))
