"""Decoupled weight decay as Loshchilov & Hutter (ICLR 2019) define it, for any training script."""

from optim import schedule
from optim.adam import Adam, AdamW
from optim.convert import from_torch
from optim.decay import normalized_weight_decay
from optim.decoupled import AdagradW, NAdamW, RAdamW, RMSpropW, decoupled
from optim.groups import parameter_groups
from optim.mixing import AdamL2M, AdamL2V, AdamPreconditioned
from optim.sgd import SGD, SGDW

__all__ = [
    "SGD",
    "SGDW",
    "AdagradW",
    "Adam",
    "AdamL2M",
    "AdamL2V",
    "AdamPreconditioned",
    "AdamW",
    "NAdamW",
    "RAdamW",
    "RMSpropW",
    "decoupled",
    "from_torch",
    "normalized_weight_decay",
    "parameter_groups",
    "schedule",
]
