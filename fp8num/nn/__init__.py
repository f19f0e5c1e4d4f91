"""
Training in small formats: an automatic differentiation of NumPy arrays.

::

    Tensor --rules, layers with a Recipe--> loss --backward--> gradients
    LossScaler, optimizers, schedules, data sets
"""

from fp8num._kernels.state import imported
from fp8num.nn.compare import compare
from fp8num.nn.comparison import Comparison
from fp8num.nn.data import Dataset, batches, digits, random_labels, spirals, teacher
from fp8num.nn.history import CastRecord, History, StepRecord
from fp8num.nn.layers import MLP, Linear
from fp8num.nn.loop import evaluate
from fp8num.nn.loss_scaling import LossScaler
from fp8num.nn.losses import cross_entropy, mean_square_error
from fp8num.nn.moves import concatenate, index, reshape, stack, transpose, where
from fp8num.nn.optim import SGD, Adam, AdamW, Optimizer, clip_norm
from fp8num.nn.primitives import RULES, Primitive
from fp8num.nn.processes import processes
from fp8num.nn.products import CORRECTLY_ROUNDED, product
from fp8num.nn.recipes import RECIPES, ROLES, Operand, Recipe, get_recipe, recipe_table
from fp8num.nn.rules import (
    abs,  # noqa: A004 - NumPy's name
    add,
    clip,
    divide,
    exp,
    gelu,
    log,
    log_softmax,
    logsumexp,
    matmul,
    max,  # noqa: A004 - NumPy's name
    maximum,
    mean,
    min,  # noqa: A004 - NumPy's name
    minimum,
    multiply,
    negative,
    power,
    relu,
    sigmoid,
    silu,
    softmax,
    sqrt,
    subtract,
    sum,  # noqa: A004 - NumPy's name
    tanh,
)
from fp8num.nn.run import Diagnosis, Evaluation, Run, TrainingDiverged
from fp8num.nn.schedules import constant, cosine, linear
from fp8num.nn.tape import no_grad
from fp8num.nn.tensor import Tensor, apply, record
from fp8num.nn.train import train

__all__ = [
    "CORRECTLY_ROUNDED",
    "MLP",
    "RECIPES",
    "ROLES",
    "RULES",
    "SGD",
    "Adam",
    "AdamW",
    "CastRecord",
    "Comparison",
    "Dataset",
    "Diagnosis",
    "Evaluation",
    "History",
    "Linear",
    "LossScaler",
    "Operand",
    "Optimizer",
    "Primitive",
    "Recipe",
    "Run",
    "StepRecord",
    "Tensor",
    "TrainingDiverged",
    "abs",
    "add",
    "apply",
    "batches",
    "clip",
    "clip_norm",
    "compare",
    "concatenate",
    "constant",
    "cosine",
    "cross_entropy",
    "digits",
    "divide",
    "evaluate",
    "exp",
    "gelu",
    "get_recipe",
    "index",
    "linear",
    "log",
    "log_softmax",
    "logsumexp",
    "matmul",
    "max",
    "maximum",
    "mean",
    "mean_square_error",
    "min",
    "minimum",
    "multiply",
    "negative",
    "no_grad",
    "power",
    "processes",
    "product",
    "random_labels",
    "recipe_table",
    "record",
    "relu",
    "reshape",
    "sigmoid",
    "silu",
    "softmax",
    "spirals",
    "sqrt",
    "stack",
    "subtract",
    "sum",
    "tanh",
    "teacher",
    "train",
    "transpose",
    "where",
]

imported(__name__)
