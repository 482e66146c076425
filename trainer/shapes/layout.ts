import { intAttribute, intsAttribute, textAttribute } from '../onnx/attributes.js';
import { elementCount, type Shape } from '../onnx/tensor.js';
import { indicesOfSlice } from './evaluate.js';
import { broadcast, mismatch, normalAxis, text, unsupported, type NodeShapes } from './values.js';

/** Shapes of operators that move values without computing with them. */
export const layoutShapes: Record<string, (s: NodeShapes) => Shape | readonly Shape[]> = {
  Flatten: (s) => {
    const shape = s.input(0);
    const axis = s.axis('axis', 1, shape.length + 1);
    return [elementCount(shape.slice(0, axis)), elementCount(shape.slice(axis))];
  },
  Reshape: (s) => {
    const from = s.input(0);
    const keepZero = intAttribute(s.node, 'allowzero', 0) !== 0;
    const wanted = s.integers(1).map((dim, axis) => (dim === 0 && !keepZero ? (from[axis] ?? 0) : dim));
    const open = wanted.indexOf(-1);
    const rest = elementCount(wanted.filter((dim) => dim !== -1));
    const shape = wanted.map((dim, axis) => (axis === open ? elementCount(from) / rest : dim));
    if (
      !shape.every((dim) => Number.isInteger(dim) && dim >= 0) ||
      elementCount(shape) !== elementCount(from)
    )
      throw mismatch(s.node, `cannot turn ${text(from)} into ${text(wanted)}`);
    return shape;
  },
  Squeeze: (s) => {
    const shape = s.input(0);
    const axes = s.axes(shape.length, 1) ?? shape.flatMap((dim, axis) => (dim === 1 ? [axis] : []));
    if (axes.some((axis) => shape[axis] !== 1))
      throw mismatch(s.node, `squeezes the axes ${text(axes)} of ${text(shape)}`);
    return shape.filter((_, axis) => !axes.includes(axis));
  },
  Unsqueeze: (s) => {
    const shape = [...s.input(0)];
    const given = intsAttribute(s.node, 'axes') ?? s.integers(1);
    const axes = given.map((axis) => normalAxis(s.node, axis, shape.length + given.length));
    for (const axis of axes.toSorted((a, b) => a - b)) shape.splice(axis, 0, 1);
    return shape;
  },
  Transpose: (s) => {
    const shape = s.input(0);
    return permutation(s, shape.length).map((axis) => shape[axis] ?? 1);
  },
  Concat: (s) => {
    const first = s.input(0);
    const axis = s.axis('axis', 0, first.length);
    const shapes = s.node.input.map((_, index) => s.input(index));
    const fits = (shape: Shape) =>
      shape.length === first.length && shape.every((dim, at) => at === axis || dim === first[at]);
    if (!shapes.every(fits))
      throw mismatch(s.node, `joins ${shapes.map(text).join(' and ')} on axis ${axis}`);
    return first.map((dim, at) =>
      at === axis ? shapes.reduce((sum, shape) => sum + (shape[axis] ?? 0), 0) : dim,
    );
  },
  Split: (s) => {
    const shape = s.input(0);
    const axis = s.axis('axis', 0, shape.length);
    const size = shape[axis] ?? 0;
    const parts = s.node.output.length;
    const chunk = Math.ceil(size / parts);
    const sizes =
      intsAttribute(s.node, 'split') ??
      (s.has(1)
        ? s.integers(1)
        : Array.from({ length: parts }, (_, i) => Math.max(0, Math.min(chunk, size - i * chunk))));
    if (sizes.length !== parts || sizes.reduce((sum, part) => sum + part, 0) !== size)
      throw mismatch(s.node, `splits ${size} into ${text(sizes)} for ${parts} outputs`);
    return sizes.map((part) => shape.map((dim, at) => (at === axis ? part : dim)));
  },
  Slice: (s) => {
    const shape = [...s.input(0)];
    for (const { axis, indices } of readSlice(s)) shape[axis] = indices.length;
    return shape;
  },
  Pad: (s) => {
    const pads = readPads(s);
    return s.input(0).map((dim, axis) => dim + (pads.before[axis] ?? 0) + (pads.after[axis] ?? 0));
  },
  Expand: (s) => broadcast(s.node, s.input(0), s.integers(1)),
  Tile: (s) => {
    const repeats = s.integers(1);
    return s.input(0).map((dim, axis) => dim * (repeats[axis] ?? 1));
  },
  Gather: (s) => {
    const shape = s.input(0);
    const axis = s.axis('axis', 0, shape.length);
    return [...shape.slice(0, axis), ...s.input(1), ...shape.slice(axis + 1)];
  },
  GatherElements: (s) => s.input(1),
  GatherND: (s) => {
    if (intAttribute(s.node, 'batch_dims', 0) !== 0) throw unsupported(s.node, 'has batch_dims');
    const [data, indices] = [s.input(0), s.input(1)];
    return [...indices.slice(0, -1), ...data.slice(indices.at(-1) ?? 0)];
  },
  ScatterND: (s) => s.input(0),
  ScatterElements: (s) => s.input(0),
  DepthToSpace: (s) => {
    const [n = 1, c = 1, h = 1, w = 1] = s.input(0);
    const block = intAttribute(s.node, 'blocksize', 1);
    if (c % block ** 2 !== 0) throw mismatch(s.node, `spreads ${c} channels over blocks of ${block}`);
    return [n, c / block ** 2, h * block, w * block];
  },
  SpaceToDepth: (s) => {
    const [n = 1, c = 1, h = 1, w = 1] = s.input(0);
    const block = intAttribute(s.node, 'blocksize', 1);
    if (h % block || w % block) throw mismatch(s.node, `cuts ${h} x ${w} into blocks of ${block}`);
    return [n, c * block ** 2, h / block, w / block];
  },
  Resize: (s) => {
    const shape = s.input(0);
    if (
      intsAttribute(s.node, 'axes') ||
      textAttribute(s.node, 'keep_aspect_ratio_policy', 'stretch') !== 'stretch'
    )
      throw unsupported(s.node, 'resizes chosen axes or keeps an aspect ratio');
    if (s.has(3) && s.input(3).length > 0 && s.integers(3).length > 0) return s.integers(3);
    const scales = s.integers(2);
    return shape.map((dim, axis) => Math.floor(dim * (scales[axis] ?? 1)));
  },
  Trilu: (s) => s.input(0),
};

export function permutation(s: NodeShapes, rank: number): readonly number[] {
  const perm = intsAttribute(s.node, 'perm') ?? [...Array(rank).keys()].toReversed();
  if (perm.toSorted((a, b) => a - b).join() !== [...Array(rank).keys()].join())
    throw mismatch(s.node, `permutes ${rank} axes by ${text(perm)}`);
  return perm;
}

/** Which positions of which axes a Slice takes. */
export function readSlice(s: NodeShapes): { axis: number; indices: number[]; step: number }[] {
  const shape = s.input(0);
  const [starts, ends] = [s.integers(1), s.integers(2)];
  const axes = s.has(3) ? s.integers(3) : starts.map((_, axis) => axis);
  const steps = s.has(4) ? s.integers(4) : starts.map(() => 1);
  return axes.map((given, i) => {
    const axis = normalAxis(s.node, given, shape.length);
    const step = steps[i] ?? 1;
    if (step === 0) throw mismatch(s.node, 'has a step of 0');
    return { axis, step, indices: indicesOfSlice(shape[axis] ?? 0, starts[i] ?? 0, ends[i] ?? 0, step) };
  });
}

/** How many values a Pad adds before and after each axis. */
export function readPads(s: NodeShapes): { before: number[]; after: number[] } {
  const rank = s.input(0).length;
  const pads = s.integers(1);
  const axes = s.has(3)
    ? s.integers(3).map((axis) => normalAxis(s.node, axis, rank))
    : [...Array(rank).keys()];
  if (pads.length !== 2 * axes.length)
    throw mismatch(s.node, `has ${pads.length} pads for ${axes.length} axes`);
  const [before, after] = [Array<number>(rank).fill(0), Array<number>(rank).fill(0)];
  axes.forEach((axis, i) => {
    before[axis] = pads[i] ?? 0;
    after[axis] = pads[i + axes.length] ?? 0;
  });
  return { before, after };
}
