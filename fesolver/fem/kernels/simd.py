"""Vectors of eight floats as numba values: loads, stores, sums, products, quotients, shifts by a lane.

A kernel written with them runs eight neighbouring cells at once whatever the auto-vectoriser makes of its loops. LLVM
splits a vector where the machine's are shorter. A product and the sum it goes into may be fused (one rounding instead
of two): bits depend on the machine, never on the number of threads.
"""

import operator

from llvmlite import ir
from numba import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

LANES = 8
"""Floats in a vector."""

FUSE = ("contract",)


class Vector(types.Type):
    """Eight floats of one type."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(name=f"Vector{LANES}({dtype})")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """As LLVM's vector type."""

    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, ir.VectorType(dmm[fe_type.dtype].get_value_type(), LANES))


def _binary(function, instruction):
    """Lower one operator on two vectors of the same type to one instruction."""

    @infer_global(function)
    class Template(AbstractTemplate):
        def generic(self, args, kws):
            if len(args) == 2 and isinstance(args[0], Vector) and args[0] == args[1]:
                return signature(args[0], *args)
            return None

    def lower(context, builder, sig, args):
        return getattr(builder, instruction)(*args, flags=FUSE)

    lower_builtin(function, Vector, Vector)(lower)


_binary(operator.add, "fadd")
_binary(operator.sub, "fsub")
_binary(operator.mul, "fmul")
_binary(operator.truediv, "fdiv")


def _pointer(context, builder, array_type, array, at):
    """Pointer to eight floats from entry `at` of a flat array."""
    data = context.make_array(array_type)(context, builder, array).data
    vector = ir.VectorType(context.get_value_type(array_type.dtype), LANES)
    return builder.bitcast(builder.gep(data, [at]), vector.as_pointer())


@intrinsic
def load(typingctx, array, at):
    """Entries at .. at + 7 of a flat array."""

    def codegen(context, builder, sig, args):
        value = builder.load(_pointer(context, builder, sig.args[0], *args))
        value.align = sig.args[0].dtype.bitwidth // 8
        return value

    return Vector(array.dtype)(array, types.intp), codegen


@intrinsic
def store(typingctx, array, at, value):
    """Write entries at .. at + 7 of a flat array."""

    def codegen(context, builder, sig, args):
        written = builder.store(args[2], _pointer(context, builder, sig.args[0], *args[:2]))
        written.align = sig.args[0].dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


@intrinsic
def splat(typingctx, x):
    """One float in all lanes."""

    def codegen(context, builder, sig, args):
        vector = ir.VectorType(context.get_value_type(sig.args[0]), LANES)
        zero = ir.Constant(ir.IntType(32), 0)
        first = builder.insert_element(ir.Constant(vector, ir.Undefined), args[0], zero)
        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [zero] * LANES)
        return builder.shuffle_vector(first, first, mask)

    return Vector(x)(x), codegen


def _shuffle(a, b, lanes):
    """Pick lanes of two vectors: 0 .. 7 of a, 8 .. 15 of b."""

    def codegen(context, builder, sig, args):
        index = ir.IntType(32)
        mask = ir.Constant(ir.VectorType(index, LANES), [ir.Constant(index, lane) for lane in lanes])
        return builder.shuffle_vector(*args, mask)

    return a(a, b), codegen


@intrinsic
def shift_down(typingctx, a, b):
    """Lanes 1 .. 7 of a, then lane 0 of b: the next neighbour of each lane."""
    return _shuffle(a, b, range(1, LANES + 1))


@intrinsic
def shift_up(typingctx, a, b):
    """Lane 7 of a, then lanes 0 .. 6 of b: the previous neighbour of each lane of b."""
    return _shuffle(a, b, range(LANES - 1, 2 * LANES - 1))


@intrinsic
def even_lanes(typingctx, a, b):
    """Lanes 0, 2, 4, 6 of a, then of b."""
    return _shuffle(a, b, range(0, 2 * LANES, 2))


@intrinsic
def odd_lanes(typingctx, a, b):
    """Lanes 1, 3, 5, 7 of a, then of b."""
    return _shuffle(a, b, range(1, 2 * LANES, 2))


@intrinsic
def zip_low(typingctx, a, b):
    """Lanes 0 to 3 of a and b in turn."""
    return _shuffle(a, b, [lane for k in range(LANES // 2) for lane in (k, k + LANES)])


@intrinsic
def zip_high(typingctx, a, b):
    """Lanes 4 to 7 of a and b in turn."""
    return _shuffle(a, b, [lane for k in range(LANES // 2, LANES) for lane in (k, k + LANES)])


@intrinsic
def lane_sum(typingctx, a):
    """Sum of the lanes: neighbours first, then pairs, then fours."""

    def codegen(context, builder, sig, args):
        value = args[0]
        index = ir.IntType(32)
        for step in (1, 2, 4):
            order = [ir.Constant(index, lane ^ step) for lane in range(LANES)]
            other = builder.shuffle_vector(value, value, ir.Constant(ir.VectorType(index, LANES), order))
            value = builder.fadd(value, other)
        return builder.extract_element(value, ir.Constant(index, 0))

    return a.dtype(a), codegen


@intrinsic
def spread_three(typingctx, a):
    """Lanes 0, 0, 0, 1, 1, 1, 2, 2: what meets the first eight entries of a 3 x 3 matrix stored by columns."""

    def codegen(context, builder, sig, args):
        index = ir.IntType(32)
        mask = ir.Constant(ir.VectorType(index, LANES), [ir.Constant(index, lane // 3) for lane in range(LANES)])
        return builder.shuffle_vector(args[0], args[0], mask)

    return a(a), codegen


@intrinsic
def repeat_three(typingctx, a):
    """Lanes 0, 1, 2, 0, 1, 2, 0, 1: what meets the first eight entries of a 3 x 3 matrix from the left."""

    def codegen(context, builder, sig, args):
        index = ir.IntType(32)
        mask = ir.Constant(ir.VectorType(index, LANES), [ir.Constant(index, lane % 3) for lane in range(LANES)])
        return builder.shuffle_vector(args[0], args[0], mask)

    return a(a), codegen


@intrinsic
def widen(typingctx, a):
    """The same numbers in float64."""

    def codegen(context, builder, sig, args):
        if sig.args[0].dtype == types.float64:
            return args[0]
        return builder.fpext(args[0], ir.VectorType(ir.DoubleType(), LANES))

    return Vector(types.float64)(a), codegen
