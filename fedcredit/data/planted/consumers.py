"""The made-up consumers' data contract, and what is planted in their outcomes.

Each column's effect is stated beside the others' as a curve over public values;
four columns have none at all. One more (`products_held`) has none of its own but
goes along with income and stability, as bystanders do in real data.
"""

from __future__ import annotations

from typing import Final

from fedcredit.data.columns import Categorical, Numeric
from fedcredit.data.planted.effects import Curve, Drift, GroupEffect, Levels, Outcome
from fedcredit.data.schema import Label, Schema

__all__ = [
    "AGE_BANDS",
    "ALTERNATIVE_BLOCKS",
    "CONSUMERS",
    "CONSUMER_OUTCOME",
    "EMPLOYMENTS",
    "FIRST_VINTAGE",
    "MONTHS",
    "NEVER_COLLECTED",
    "NOT_REVOLVING",
    "REGIONS",
    "SEXES",
]

FIRST_VINTAGE: Final = (2023, 1)
MONTHS: Final = 24
NEVER_COLLECTED: Final = -7.0
NOT_REVOLVING: Final = -8.0
SEXES: Final = ("F", "M")
AGE_BANDS: Final = ("18-25", "26-35", "36-50", "51-65", "66+")
EMPLOYMENTS: Final = (
    "permanent",
    "temporary",
    "self-employed",
    "student",
    "retired",
    "unemployed",
)
REGIONS: Final = ("coast", "hills", "lakes", "north", "plain", "south", "valley", "capital")
ALTERNATIVE_BLOCKS: Final = ("e-commerce", "utility", "mobile")

_HISTORY = (
    Numeric(
        "utilisation", "share", 0, 1.5, step=0.01, special=(NOT_REVOLVING,), direction="risk-up",
        description="Balance over limit of revolving accounts; code -8 where there is none.",
    ),
    Numeric(
        "months_since_first_credit", "months", 0, 480, spacing="log", scale=12, step=1,
        direction="risk-down", description="Age of the credit file.",
    ),
    Numeric(
        "delinquencies_24m", "count", 0, 12, step=1, direction="risk-up",
        description="Instalments 30 or more days late in 24 months, at any lender.",
    ),
)  # fmt: skip
_PAYMENTS = (
    Numeric(
        "late_payments_12m", "count", 0, 12, step=1, block="payments", direction="risk-up",
        description="Late payments to this institution in 12 months.",
    ),
    Numeric(
        "months_since_collection", "months", 0, 120, step=1, special=(NEVER_COLLECTED,),
        block="payments", direction="risk-down",
        description="Months since an unpaid bill went to a collector; code -7 where none did.",
    ),
    Numeric(
        "debt_service_share", "share", 0, 1, step=0.01, block="payments", direction="risk-up",
        description="Monthly instalments over monthly income.",
    ),
    Numeric(
        "net_flow_eur", "EUR", -10_000, 10_000, spacing="signed-log", scale=100,
        block="payments", direction="risk-down", description="Money in less money out, a month.",
    ),
    Categorical(
        "autopay", ("yes", "no"), block="payments", description="Whether instalments are debited.",
    ),
    Numeric(
        "products_held", "count", 0, 12, step=1, block="payments",
        description="Products that the customer has with this institution.",
    ),
)  # fmt: skip
_E_COMMERCE = (
    Numeric(
        "orders_12m", "count", 0, 300, spacing="log", step=1, block="e-commerce",
        direction="risk-down", description="Orders paid in 12 months.",
    ),
    Numeric(
        "returned_share", "share", 0, 1, step=0.01, block="e-commerce", direction="risk-up",
        description="Share of orders that were sent back or not collected.",
    ),
    Numeric(
        "basket_eur", "EUR", 1, 2_000, spacing="log", block="e-commerce",
        description="Mean value of an order.",
    ),
)  # fmt: skip
_UTILITY = (
    Numeric(
        "utility_tenure_months", "months", 0, 360, spacing="log", scale=12, step=1,
        block="utility", direction="risk-down", description="Age of the contract.",
    ),
    Numeric(
        "utility_late_bills_12m", "count", 0, 12, step=1, block="utility", direction="risk-up",
        description="Bills paid late in 12 months.",
    ),
    Numeric(
        "household_kwh", "kWh", 20, 2_000, spacing="log", block="utility",
        description="Energy used in a month.",
    ),
)  # fmt: skip
_MOBILE = (
    Numeric(
        "mobile_tenure_months", "months", 0, 240, spacing="log", scale=12, step=1,
        block="mobile", direction="risk-down", description="Age of the number.",
    ),
    Numeric(
        "mobile_gap_share", "share", 0, 1, step=0.01, block="mobile", direction="risk-up",
        description="Share of days without credit, or with the service cut off.",
    ),
    Categorical(
        "mobile_contract", ("prepaid", "postpaid", "family"), block="mobile",
        description="Kind of contract.",
    ),
    Numeric(
        "mobile_data_gb", "GB", 0.1, 500, spacing="log", block="mobile",
        description="Data used in a month.",
    ),
)  # fmt: skip
_IDENTITY = (
    Numeric(
        "monthly_income_eur", "EUR", 200, 30_000, spacing="log", block="identity",
        direction="risk-down", description="Net income, as declared and checked.",
    ),
    Numeric(
        "months_at_address", "months", 0, 480, spacing="log", scale=12, step=1,
        block="identity", direction="risk-down", description="Time at the present address.",
    ),
    Numeric(
        "inquiries_6m", "count", 0, 15, step=1, block="identity", direction="risk-up",
        description="Lenders who asked for this identity in six months.",
    ),
    Categorical("employment", EMPLOYMENTS, block="identity", description="Main occupation."),
    Categorical("region", REGIONS, block="identity", description="Region of the address."),
)  # fmt: skip
_PROTECTED = (
    Categorical("sex", SEXES, block="protected", protected=True, description="Sex in the papers."),
    Categorical(
        "age_band", AGE_BANDS, block="protected", protected=True, description="Age in years.",
    ),
)  # fmt: skip

CONSUMERS: Final = Schema(
    name="synthetic-consumer",
    version=1,
    description="Made-up consumers of a made-up consortium; nobody's data.",
    columns=(*_HISTORY, *_PAYMENTS, *_E_COMMERCE, *_UTILITY, *_MOBILE, *_IDENTITY, *_PROTECTED),
    label=Label(
        column="defaulted_12m",
        good=("0",),
        bad=("1",),
        definition="90 or more days past due",
        outcome_months=12,
    ),
    person="person_id",
    ids=("account_id",),
    size_class="10k-100k",
    vintage="vintage",
)

CONSUMER_OUTCOME: Final = Outcome(
    effects=(
        Curve(
            "utilisation", (0.0, 0.3, 0.6, 1.0, 1.5), (0.65, 0.3, -0.05, -0.65, -1.0),
            low=(0.0, 0.25), high=(0.65, 1.5), codes=((NOT_REVOLVING, 0.0),),
        ),
        Curve(
            "months_since_first_credit", (6, 24, 60, 120, 240), (-0.5, -0.25, 0.0, 0.25, 0.45),
            low=(0, 36), high=(120, 480),
        ),
        Curve(
            "delinquencies_24m", (0, 1, 2, 4, 8), (0.3, -0.35, -0.7, -1.1, -1.5),
            low=(0, 0.5), high=(1.5, 12),
        ),
        Curve(
            "late_payments_12m", (0, 1, 2, 4, 8), (0.3, -0.3, -0.6, -1.0, -1.3),
            low=(0, 0.5), high=(1.5, 12),
        ),
        Curve(
            "months_since_collection", (0, 12, 36, 72, 120), (-1.0, -0.8, -0.45, -0.1, 0.0),
            low=(0, 24), high=(60, 120), codes=((NEVER_COLLECTED, 0.1),),
        ),
        Curve(
            "debt_service_share", (0.0, 0.2, 0.4, 0.6, 1.0), (0.35, 0.15, -0.1, -0.45, -0.8),
            low=(0.0, 0.2), high=(0.45, 1.0),
        ),
        Curve(
            "net_flow_eur", (-2000, -300, 0, 300, 2000), (-0.45, -0.25, 0.0, 0.2, 0.4),
            low=(-10_000, -100), high=(400, 10_000),
        ),
        Levels("autopay", ("yes", "no"), (0.2, -0.15), low=("no",), high=("yes",)),
        Curve("products_held", (0, 12), (0.0, 0.0), low=(0, 0.5), high=(2.5, 12)),
        Curve(
            "orders_12m", (0, 5, 20, 60, 200), (-0.1, 0.05, 0.2, 0.35, 0.4),
            low=(0, 4), high=(20, 300),
        ),
        Curve(
            "returned_share", (0.0, 0.1, 0.3, 0.6, 1.0), (0.25, 0.15, -0.1, -0.4, -0.55),
            low=(0.0, 0.08), high=(0.25, 1.0),
        ),
        Curve("basket_eur", (1, 2_000), (0.0, 0.0), low=(1, 35), high=(90, 2_000)),
        Curve(
            "utility_tenure_months", (0, 12, 36, 120), (-0.3, -0.1, 0.1, 0.3),
            low=(0, 15), high=(60, 360),
        ),
        Curve(
            "utility_late_bills_12m", (0, 1, 2, 4, 8), (0.25, -0.2, -0.45, -0.75, -0.9),
            low=(0, 0.5), high=(1.5, 12),
        ),
        Curve("household_kwh", (20, 2_000), (0.0, 0.0), low=(20, 150), high=(350, 2_000)),
        Curve(
            "mobile_tenure_months", (0, 6, 24, 60, 120), (-0.2, -0.1, 0.1, 0.3, 0.4),
            low=(0, 15), high=(60, 240),
        ),
        Curve(
            "mobile_gap_share", (0.0, 0.1, 0.3, 0.6, 1.0), (0.35, 0.15, -0.15, -0.45, -0.6),
            low=(0.0, 0.05), high=(0.2, 1.0),
        ),
        Levels(
            "mobile_contract", ("prepaid", "postpaid", "family"), (-0.1, 0.25, 0.15),
            low=("prepaid",), high=("postpaid",),
        ),
        Curve("mobile_data_gb", (0.1, 500), (0.0, 0.0), low=(0.1, 6), high=(20, 500)),
        Curve(
            "monthly_income_eur", (500, 1000, 2000, 4000, 10_000), (-0.4, -0.2, 0.0, 0.25, 0.4),
            low=(200, 1400), high=(3000, 30_000),
        ),
        Curve(
            "months_at_address", (0, 12, 36, 120, 240), (-0.25, -0.1, 0.05, 0.2, 0.25),
            low=(0, 18), high=(96, 480),
        ),
        Curve(
            "inquiries_6m", (0, 1, 3, 6, 12), (0.25, 0.1, -0.2, -0.6, -0.9),
            low=(0, 0.5), high=(2.5, 15),
        ),
        Levels(
            "employment", EMPLOYMENTS, (0.15, -0.15, -0.1, -0.1, 0.1, -0.5),
            low=("temporary", "unemployed"), high=("permanent",),
        ),
        Levels("region", REGIONS, (0.0,) * 8, low=("coast", "hills"), high=("south", "valley")),
    ),
    thin=-1.1,
    thin_factor=2.0,
    alternative=tuple(
        column.name for column in CONSUMERS.features if column.block in ALTERNATIVE_BLOCKS
    ),
    groups=(GroupEffect("sex", "F", 0.25), GroupEffect("age_band", "18-25", -0.25)),
    downturn_month=18,
    downturn=-0.35,
    drifts=(Drift("inquiries_6m", 18, 1.8), Drift("mobile_data_gb", 12, 1.6)),
)  # fmt: skip
