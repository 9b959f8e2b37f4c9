"""The vector code behind `simd.py`, as LLVM's own instructions.

Measured on an AMD EPYC with AVX-512 (one core, 32 x 64 x 64): 2.3 us, 114 GFLOP/s, which is all
that the core has; `np.dot` (OpenBLAS through SciPy) takes 2.3 us as well. OpenBLAS gives other bits for other numbers of rows, and needs its threads held.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.extending import intrinsic
from numba.np import arrayobj

from qlearn.kernels.simd import COLUMNS

FLOAT, WHOLE, INT32 = ir.FloatType(), ir.IntType(64), ir.IntType(32)


def _lanes() -> int:
    features = llvm.get_host_cpu_features()
    return 16 if features.get("avx512f") else 8 if features.get("avx") else 4


def _fused() -> str:
    """Without the instruction, `fma` would be a slow call of the C library."""
    if llvm.get_process_triple().startswith(("x86_64", "i")):
        return "fma" if llvm.get_host_cpu_features().get("fma") else "fmuladd"
    return "fma"


LANES = _lanes()
FUSED = _fused()
VECTOR, MASK = ir.VectorType(FLOAT, LANES), ir.VectorType(ir.IntType(1), LANES)
LONGS = ir.VectorType(WHOLE, LANES)
VECTORS = COLUMNS // LANES  # in a tile's row


class _Writer:
    """One intrinsic being written: numbers in vectors, and where they lie."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        self.context, self.builder = context, builder
        self.signature, self.arguments = signature, arguments

    def pointer(self, k: int) -> Any:
        array = arrayobj.make_array(self.signature.args[k])
        return array(self.context, self.builder, self.arguments[k]).data

    def call(self, name: str, result: Any, arguments: list[Any]) -> Any:
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, arguments)

    def place(self, pointer: Any, offset: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(pointer, [offset]), VECTOR.as_pointer())

    def splat(self, value: Any) -> Any:
        kind = ir.VectorType(value.type, LANES)
        first = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, INT32(0))
        zeros = ir.Constant(ir.VectorType(INT32, LANES), None)
        return self.builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros)

    def first(self, count: Any) -> Any:
        """The mask of the first `count` lanes."""
        lanes = ir.Constant(LONGS, [WHOLE(k) for k in range(LANES)])
        return self.builder.icmp_signed("<", lanes, self.splat(count))

    def load(self, pointer: Any, offset: Any, mask: Any = None) -> Any:
        place = self.place(pointer, offset)
        if mask is None:
            return self.builder.load(place, align=4)
        return self.call(
            f"llvm.masked.load.v{LANES}f32.p0", VECTOR,
            [place, INT32(4), mask, ir.Constant(VECTOR, None)],
        )  # fmt: skip

    def store(self, value: Any, pointer: Any, offset: Any, mask: Any = None) -> None:
        place = self.place(pointer, offset)
        if mask is None:
            self.builder.store(value, place, align=4)
        else:
            arguments = [value, place, INT32(4), mask]
            self.call(f"llvm.masked.store.v{LANES}f32.p0", ir.VoidType(), arguments)

    def fused(self, a: Any, b: Any, c: Any) -> Any:
        return self.call(f"llvm.{FUSED}.v{LANES}f32", VECTOR, [a, b, c])

    def total(self, vector: Any) -> Any:
        """The sum of the lanes, in halves: one fixed order."""
        width = LANES
        while width > 1:
            width //= 2
            other = [INT32((k + width) % LANES) for k in range(LANES)]
            order = ir.Constant(ir.VectorType(INT32, LANES), other)
            moved = self.builder.shuffle_vector(vector, ir.Constant(VECTOR, ir.Undefined), order)
            vector = self.builder.fadd(vector, moved)
        return self.builder.extract_element(vector, INT32(0))


def _tile(rows: int) -> Any:
    @intrinsic
    def tile(context, a, a0, ai, ak, b, b0, bk, s, s0, si, c, c0, ci, depth, width):
        n = types.int64
        signature = types.void(a, n, n, n, b, n, n, s, n, n, c, n, n, n, n)
        return signature, generate

    def generate(context, builder, signature, arguments):
        width, columns = arguments[14], WHOLE(VECTORS * LANES)
        with builder.if_else(builder.icmp_signed(">=", width, columns)) as (whole, part):
            with whole:
                _write_tile(_Writer(context, builder, signature, arguments), rows, VECTORS, None)
            with part, cgutils.for_range_slice(builder, WHOLE(0), width, WHOLE(LANES)) as (j, _):
                write = _Writer(context, builder, signature, arguments)
                left = builder.sub(width, j)
                _write_tile(write, rows, 1, write.first(left), j)
        return context.get_dummy_value()

    return tile


def _write_tile(write: _Writer, rows: int, vectors: int, mask: Any, column: Any = None) -> None:
    """Sums stay in registers from the first to the last k."""
    _, a0, ai, ak, _, b0, bk, _, s0, si, _, c0, ci, depth, _ = write.arguments
    builder = write.builder
    if column is not None:
        b0, s0, c0 = (builder.add(place, column) for place in (b0, s0, c0))
    a, b, s, c = (write.pointer(k) for k in (0, 4, 7, 10))
    sums = [[cgutils.alloca_once(builder, VECTOR) for _ in range(vectors)] for _ in range(rows)]

    def at(start: Any, step: Any, row: int, vector: int) -> Any:
        there = builder.add(start, builder.mul(step, WHOLE(row)))
        return builder.add(there, WHOLE(vector * LANES))

    for i in range(rows):
        for v in range(vectors):
            builder.store(write.load(s, at(s0, si, i, v), mask), sums[i][v])
    starts = [builder.add(a0, builder.mul(ai, WHOLE(i))) for i in range(rows)]
    with cgutils.for_range(builder, depth) as loop:
        row = builder.add(b0, builder.mul(bk, loop.index))
        along = builder.mul(ak, loop.index)
        right = [write.load(b, builder.add(row, WHOLE(v * LANES)), mask) for v in range(vectors)]
        for i in range(rows):
            left = write.splat(builder.load(builder.gep(a, [builder.add(starts[i], along)])))
            for v in range(vectors):
                builder.store(write.fused(left, right[v], builder.load(sums[i][v])), sums[i][v])
    for i in range(rows):
        for v in range(vectors):
            write.store(builder.load(sums[i][v]), c, at(c0, ci, i, v), mask)


@intrinsic
def nonzeros(context, a, a0, n, places, p0, most):
    long = types.int64
    return long(a, long, long, places, long, long), _write_nonzeros


def _write_nonzeros(context, builder, signature, arguments):
    write = _Writer(context, builder, signature, arguments)
    _, a0, n, _, p0, most = arguments
    numbers, places = write.pointer(0), write.pointer(3)
    kind = places.type.pointee
    count = cgutils.alloca_once_value(builder, WHOLE(0))
    done = builder.append_basic_block("done")
    with cgutils.for_range_slice(builder, WHOLE(0), n, WHOLE(LANES)) as (j, _):
        mask = write.first(builder.sub(n, j))
        lanes = write.load(numbers, builder.add(a0, j), mask)
        unlike = builder.fcmp_unordered("!=", lanes, ir.Constant(VECTOR, None))
        found = builder.zext(builder.bitcast(unlike, ir.IntType(LANES)), WHOLE)
        before, here = builder.load(count), builder.ctpop(found)
        after = builder.add(before, here)
        with builder.if_then(builder.icmp_signed(">", after, most), likely=False):
            builder.store(WHOLE(-1), count)
            builder.branch(done)
        builder.store(after, count)
        bits = cgutils.alloca_once_value(builder, found)
        target = builder.gep(places, [builder.add(p0, before)])
        with cgutils.for_range(builder, here) as loop:
            left = builder.load(bits)
            lane = builder.cttz(left, ir.Constant(ir.IntType(1), 1))
            place = builder.trunc(builder.add(j, lane), kind)
            builder.store(place, builder.gep(target, [loop.index]))
            builder.store(builder.and_(left, builder.sub(left, WHOLE(1))), bits)
    builder.branch(done)
    builder.position_at_end(done)
    return builder.load(count)


PICKED = 16 if LANES == 16 else 8  # vectors of a row that are summed at once, in registers


@intrinsic
def picked(context, a, a0, ak, b, b0, bk, places, p0, count, s, s0, c, c0, width):
    n = types.int64
    return types.void(a, n, n, b, n, n, places, n, n, s, n, c, n, n), _write_all_picked


def _write_all_picked(context, builder, signature, arguments):
    write = _Writer(context, builder, signature, arguments)
    width, block = arguments[13], WHOLE(PICKED * LANES)
    whole = builder.mul(builder.sdiv(width, block), block)
    with cgutils.for_range_slice(builder, WHOLE(0), whole, block) as (j, _):
        _write_picked(write, PICKED, None, j)
    with cgutils.for_range_slice(builder, whole, width, WHOLE(LANES)) as (j, _):
        _write_picked(write, 1, write.first(builder.sub(width, j)), j)
    return context.get_dummy_value()


def _write_picked(write: _Writer, vectors: int, mask: Any, column: Any) -> None:
    _, a0, ak, _, b0, bk, _, p0, count, _, s0, _, c0, _ = write.arguments
    builder = write.builder
    a, b, places, s, c = (write.pointer(k) for k in (0, 3, 6, 9, 11))

    def at(start: Any, vector: int) -> Any:
        return builder.add(builder.add(start, column), WHOLE(vector * LANES))

    sums = [cgutils.alloca_once(builder, VECTOR) for _ in range(vectors)]
    for v, held in enumerate(sums):
        builder.store(write.load(s, at(s0, v), mask), held)
    with cgutils.for_range(builder, count) as loop:
        place = builder.load(builder.gep(places, [builder.add(p0, loop.index)]))
        k = builder.sext(place, WHOLE)
        left = builder.load(builder.gep(a, [builder.add(a0, builder.mul(k, ak))]))
        left, row = write.splat(left), builder.add(b0, builder.mul(k, bk))
        for v, held in enumerate(sums):
            right = write.load(b, at(row, v), mask)
            builder.store(write.fused(left, right, builder.load(held)), held)
    for v, held in enumerate(sums):
        write.store(builder.load(held), c, at(c0, v), mask)


def _reduced(write: _Writer, n: Any, add: Callable[[Any, Any, Any], Any]) -> Any:
    """Sums n numbers: four vectors side by side hide the latency of one addition."""
    builder = write.builder
    zero = ir.Constant(VECTOR, None)
    sums = [cgutils.alloca_once_value(builder, zero) for _ in range(2)]
    block = WHOLE(2 * LANES)
    whole = builder.mul(builder.sdiv(n, block), block)
    with cgutils.for_range_slice(builder, WHOLE(0), whole, block) as (j, _):
        for v, held in enumerate(sums):
            place = builder.add(j, WHOLE(v * LANES))
            builder.store(add(builder.load(held), place, None), held)
    with cgutils.for_range_slice(builder, whole, n, WHOLE(LANES)) as (j, _):
        mask = write.first(builder.sub(n, j))
        builder.store(add(builder.load(sums[0]), j, mask), sums[0])
    return write.total(builder.fadd(builder.load(sums[0]), builder.load(sums[1])))


@intrinsic
def row_sum(context, a, a0, n):
    def generate(context, builder, signature, arguments):
        write = _Writer(context, builder, signature, arguments)
        values = write.pointer(0)

        def add(total, j, mask):
            return builder.fadd(total, write.load(values, builder.add(arguments[1], j), mask))

        return _reduced(write, arguments[2], add)

    return types.float32(a, types.int64, types.int64), generate


@intrinsic
def row_dot(context, a, a0, b, b0, n):
    def generate(context, builder, signature, arguments):
        write = _Writer(context, builder, signature, arguments)
        left, right = write.pointer(0), write.pointer(2)

        def add(total, j, mask):
            x = write.load(left, builder.add(arguments[1], j), mask)
            return write.fused(x, write.load(right, builder.add(arguments[3], j), mask), total)

        return _reduced(write, arguments[4], add)

    return types.float32(a, types.int64, b, types.int64, types.int64), generate


@intrinsic
def row_squares(context, a, a0, n, middle):
    def generate(context, builder, signature, arguments):
        write = _Writer(context, builder, signature, arguments)
        values, middle = write.pointer(0), write.splat(arguments[3])

        def add(total, j, mask):
            away = builder.fsub(write.load(values, builder.add(arguments[1], j), mask), middle)
            if mask is not None:
                away = builder.select(mask, away, ir.Constant(VECTOR, None))
            return write.fused(away, away, total)

        return _reduced(write, arguments[2], add)

    return types.float32(a, types.int64, types.int64, types.float32), generate


@intrinsic
def ticks(context):
    def generate(context, builder, signature, arguments):
        if llvm.get_process_triple().startswith(("aarch64", "arm64")):
            kind = ir.FunctionType(WHOLE, [])
            return builder.asm(kind, "mrs $0, cntvct_el0", "=r", [], side_effect=True)
        kind = ir.FunctionType(WHOLE, [])
        clock = cgutils.get_or_insert_function(builder.module, kind, "llvm.readcyclecounter")
        return builder.call(clock, [])

    return types.int64(), generate


@intrinsic
def meet(context, barrier, place, members):
    def generate(context, builder, signature, arguments):
        base = arrayobj.make_array(signature.args[0])(context, builder, arguments[0]).data
        place, members = arguments[1], arguments[2]
        come, rounds = builder.gep(base, [place]), builder.gep(base, [builder.add(place, WHOLE(8))])
        given_up = builder.gep(base, [builder.add(place, WHOLE(16))])
        before = builder.load_atomic(rounds, "acquire", 8)
        last = builder.sub(members, WHOLE(1))
        mine = builder.atomic_rmw("add", come, WHOLE(1), "acq_rel")
        with builder.if_else(builder.icmp_signed("==", mine, last)) as (all_here, wait):
            with all_here:
                builder.store_atomic(WHOLE(0), come, "monotonic", 8)
                builder.atomic_rmw("add", rounds, WHOLE(1), "acq_rel")
            with wait:
                _spin(builder, rounds, before, given_up)
        return builder.icmp_signed("==", builder.load_atomic(given_up, "acquire", 8), WHOLE(0))

    return types.boolean(barrier, types.int64, types.int64), generate


SPINS = 4000  # before a thread lets others have the core: some 40 us


def _spin(builder: Any, rounds: Any, before: Any, given_up: Any) -> None:
    tries = cgutils.alloca_once_value(builder, WHOLE(0))
    again, done = builder.append_basic_block("spin"), builder.append_basic_block("met")
    builder.branch(again)
    builder.position_at_end(again)
    count = builder.add(builder.load(tries), WHOLE(1))
    builder.store(count, tries)
    with builder.if_then(builder.icmp_signed(">", count, WHOLE(SPINS)), likely=False):
        _yield(builder)
    same = builder.icmp_signed("==", builder.load_atomic(rounds, "acquire", 8), before)
    kept = builder.icmp_signed("==", builder.load_atomic(given_up, "acquire", 8), WHOLE(0))
    builder.cbranch(builder.and_(same, kept), again, done)
    builder.position_at_end(done)


def _yield(builder: Any) -> None:
    name = "SwitchToThread" if "windows" in llvm.get_process_triple() else "sched_yield"
    kind = ir.FunctionType(INT32, [])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [])


tile4, tile1 = _tile(4), _tile(1)
