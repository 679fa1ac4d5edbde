"""A typed module of ordinary code, from which a test makes inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NewType, TypedDict

Cents = NewType("Cents", int)
Line = tuple[str, float, int]


class Product(TypedDict):
    name: str
    price: float
    stock: int


@dataclass
class Discount:
    code: str
    percent: int
    least: float = 0.0


def format_receipt(lines: list[Line], width: int = 20, percent: int = 0) -> str:
    """Writes the lines of a receipt and its total, right-aligned."""
    rows = []
    total = 0.0
    for name, price, count in lines:
        amount = price * count
        total += amount
        rows.append(name[: width - 8].ljust(width - 8) + f"{amount:8.2f}")
    if percent:
        total -= total * percent / 100
        rows.append(f"-{percent}%".rjust(width))
    return "\n".join([*rows, f"{total:.2f}".rjust(width)])


def format_cents(amount: Cents, sign: str | None = None) -> str:
    """Writes an amount of cents with two digits."""
    if amount < 0:
        return "-" + format_cents(Cents(-amount), sign)
    text = f"{amount // 100}.{amount % 100:02d}"
    return text if sign is None else f"{sign} {text}"


def restock(inventory: dict[str, int], order: Mapping[str, int], limit: int = 50) -> dict[str, int]:
    """Adds an order to the inventory, at most up to a limit for each product."""
    for name, count in order.items():
        if count <= 0:
            continue
        inventory[name] = min(limit, inventory.get(name, 0) + count)
    return inventory


def cheapest(products: Iterable[Product], budget: float) -> str | None:
    """Names the cheapest product in stock that the budget buys."""
    best = None
    for product in products:
        is_bought = product["stock"] > 0 and product["price"] <= budget
        if is_bought and (best is None or product["price"] < best["price"]):
            best = product
    return best["name"] if best else None


def apply_discount(total: float, discount: Discount) -> float:
    """Takes a discount off a total that is large enough."""
    if total < discount.least:
        return total
    return round(total * (100 - discount.percent) / 100, 2)


def tax(amounts: Sequence[float], rate: Annotated[float, "a share"], *, places: int = 2) -> float:
    """Computes the tax on some amounts."""
    return round(sum(amounts) * rate, places)


def free_numbers(taken: set[int], style: Literal["plain", "padded"] = "plain") -> list[str]:
    """Writes the numbers from 1 to 9 that are not taken."""
    free = [number for number in range(1, 10) if number not in taken]
    return [str(n) for n in free] if style == "plain" else [f"{n:03d}" for n in free]
