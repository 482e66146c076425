import { intAttribute, intsAttribute } from '../onnx/attributes.js';
import { elementCount, type Shape } from '../onnx/tensor.js';
import { isApart, readWindow, type Window } from '../shapes/windows.js';
import type { GradientRule, NodeGradient } from './nodeGradient.js';

/** Derivatives of convolutions and pools. */
export const windowGradients: Record<string, GradientRule> = {
  AveragePool: (g) => [averagePool(g)],
  Conv: (g) => [
    g.when(0, () => convolutionInput(g)),
    g.when(1, () => convolutionFilters(g, [g.input(0), g.inputShape(0)], [g.dy, g.outputShape(0)])),
    g.when(2, () => channelSums(g)),
  ],
  // The adjoint of a convolution: what Conv does forwards, this does backwards.
  ConvTranspose: (g) => [
    g.when(0, () => g.emit('Conv', [g.dy, g.input(1)], convolutionAttributes(g))),
    g.when(1, () => convolutionFilters(g, [g.dy, g.outputShape(0)], [g.input(0), g.inputShape(0)])),
    g.when(2, () => channelSums(g)),
  ],
  GlobalAveragePool: (g) => {
    const shape = g.inputShape(0);
    return [g.emit('Expand', [g.mul(g.dy, 1 / elementCount(shape.slice(2))), g.ints(shape)])];
  },
  GlobalMaxPool: (g) => {
    const mask = g.mask('Equal', g.input(0), g.output(0));
    const axes = g.inputShape(0).flatMap((_, axis) => (axis < 2 ? [] : [axis]));
    return [g.mul(mask, g.div(g.dy, g.sum(mask, axes, true)))];
  },
  MaxPool: (g) => [maxPool(g)],
};

/** A bias of [C]: the sum over batch and image. */
function channelSums(g: NodeGradient): string {
  return g.sum(g.dy, [0, ...spatialAxes(g)], false);
}

function convolutionAttributes(g: NodeGradient) {
  const { kernel, strides, pads, dilations } = readWindow(g.node, g.inputShape(1).slice(2));
  return { kernel_shape: kernel, strides, pads, dilations, group: intAttribute(g.node, 'group', 1) };
}

function spatialAxes(g: NodeGradient): number[] {
  return g
    .outputShape(0)
    .slice(2)
    .map((_, axis) => axis + 2);
}

/** dX: the transposed convolution of dY with the same filters. */
function convolutionInput(g: NodeGradient): string {
  const [x, w] = [g.inputShape(0), g.inputShape(1)];
  const { kernel, strides, pads, dilations } = readWindow(g.node, w.slice(2));
  const outputPadding = kernel.map((size, axis) => {
    const [stride = 1, dilation = 1] = [strides[axis], dilations[axis]];
    const covered = dilation * (size - 1) + 1;
    return ((x[axis + 2] ?? 0) + (pads[axis] ?? 0) + (pads[axis + kernel.length] ?? 0) - covered) % stride;
  });
  const group = intAttribute(g.node, 'group', 1);
  return g.emit('ConvTranspose', [g.dy, g.input(1)], {
    kernel_shape: kernel,
    strides,
    pads,
    dilations,
    group,
    output_padding: outputPadding,
  });
}

/**
 * dW: the convolution of X with dY, where the batch takes the place of the channels and the channels of X that of one more
 * axis of space, over which the filters do not extend. So one matrix product makes a filter's gradient for all of its
 * channels, and threads share it. Strides and dilations change places. With groups, the group stands in front of the
 * batch, so that each group meets its own filters.
 */
function convolutionFilters(
  g: NodeGradient,
  [image, x]: readonly [string, Shape],
  [gradient, y]: readonly [string, Shape],
): string {
  const { kernel, strides, pads, dilations } = readWindow(g.node, g.inputShape(1).slice(2));
  const group = intAttribute(g.node, 'group', 1);
  const half = kernel.length;
  const full = g.emit('Conv', [channelsInSpace(g, image, x, group), batchAsChannels(g, gradient, y)], {
    kernel_shape: [1, ...y.slice(2)],
    strides: [1, ...dilations],
    pads: [0, ...pads.slice(0, half), 0, ...pads.slice(half)],
    dilations: [1, ...strides],
    group,
  });
  // A stride that does not divide the image leaves a margin that the forward pass never looked at.
  const sizes = kernel.map((_, axis) => {
    const [stride = 1, dilation = 1] = [strides[axis], dilations[axis]];
    const padded = (x[axis + 2] ?? 0) + (pads[axis] ?? 0) + (pads[axis + half] ?? 0);
    return Math.floor((padded - (stride * ((y[axis + 2] ?? 1) - 1) + 1)) / dilation) + 1;
  });
  const exact = sizes.join() === kernel.join();
  const axes = kernel.map((_, axis) => axis + 3);
  const cut = exact
    ? full
    : g.emit('Slice', [full, g.ints(kernel.map(() => 0)), g.ints(kernel), g.ints(axes)]);
  return g.reshape(cut, g.inputShape(1));
}

/** [B, g*C, ...] to [1, g*B, C, ...]. */
function channelsInSpace(g: NodeGradient, value: string, shape: Shape, group: number): string {
  const [batch = 0, channels = 0, ...spatial] = shape;
  const shared = channels / group;
  if (group === 1) return g.reshape(value, [1, batch, shared, ...spatial]);
  const split = g.reshape(value, [batch, group, shared, ...spatial]);
  const perm = [1, 0, 2, ...spatial.map((_, axis) => axis + 3)];
  return g.reshape(g.emit('Transpose', [split], { perm }), [1, group * batch, shared, ...spatial]);
}

/** [B, C, ...] to [C, B, 1, ...]. */
function batchAsChannels(
  g: NodeGradient,
  value: string,
  [batch = 0, channels = 0, ...spatial]: Shape,
): string {
  const perm = [1, 0, ...spatial.map((_, axis) => axis + 2)];
  return g.reshape(g.emit('Transpose', [value], { perm }), [channels, batch, 1, ...spatial]);
}

/**
 * The gradient goes to the first largest value of each window, as in PyTorch. (Comparing the input with the output
 * would pay every one of several equal values, which images with a plain background have everywhere.) Where windows
 * overlap, what several of them send to one place adds up.
 */
function maxPool(g: NodeGradient): string {
  const shape = g.inputShape(0);
  const window = readWindow(g.node, intsAttribute(g.node, 'kernel_shape') ?? []);
  const { kernel, strides } = window;
  if (isApart(window) && intAttribute(g.node, 'ceil_mode', 0) === 0)
    return g.emit('MaxUnpool', [g.dy, g.output(1), g.ints(shape)], { kernel_shape: kernel, strides });
  const flat = [g.zeros([elementCount(shape)]), g.reshape(g.output(1), [-1]), g.reshape(g.dy, [-1])];
  return g.reshape(g.emit('ScatterElements', flat, { axis: 0, reduction: 'add' }), shape);
}

/** Every value of a window gets an equal share: a transposed convolution with ones. */
function averagePool(g: NodeGradient): string {
  const window = readWindow(g.node, intsAttribute(g.node, 'kernel_shape') ?? []);
  const [batch = 0, channels = 0, ...image] = g.inputShape(0);
  const pooled = g.outputShape(0).slice(2);
  const shares = g.builder.floats(pooled, sharesOf(g, window, image, pooled));
  const maps = g.reshape(g.mul(g.dy, shares), [batch * channels, 1, ...pooled]);
  const { kernel, strides, pads, dilations } = window;
  const half = kernel.length;
  // Every window has its place in this image; ends beyond the input (ceil_mode, padding) are cut off.
  const full = pooled.map(
    (count, axis) =>
      (strides[axis] ?? 1) * (count - 1) + (dilations[axis] ?? 1) * ((kernel[axis] ?? 1) - 1) + 1,
  );
  const spread = g.emit('ConvTranspose', [maps, g.ones([1, 1, ...kernel])], {
    kernel_shape: kernel,
    strides,
    dilations,
  });
  const before = kernel.map((_, axis) => -(pads[axis] ?? 0) || 0);
  const after = image.map((size, axis) => size - (full[axis] ?? 0) - (before[axis] ?? 0));
  const fitted = [...before, ...after].every((pad) => pad === 0)
    ? spread
    : g.emit('Pad', [spread, g.ints([0, 0, ...before, 0, 0, ...after.slice(0, half)])]);
  return g.reshape(fitted, g.inputShape(0));
}

/** 1 / how many values each window averages; padding counts or does not. */
function sharesOf(
  g: NodeGradient,
  { kernel, strides, pads, dilations }: Window,
  image: Shape,
  pooled: Shape,
): Float32Array {
  const padded = intAttribute(g.node, 'count_include_pad', 0) !== 0;
  const counts = pooled.map((count, axis) =>
    Array.from({ length: count }, (_, i) => {
      const start = i * (strides[axis] ?? 1) - (pads[axis] ?? 0);
      const end = (image[axis] ?? 0) + (padded ? (pads[axis + kernel.length] ?? 0) : 0);
      const low = padded ? -(pads[axis] ?? 0) : 0;
      return Array.from({ length: kernel[axis] ?? 1 }, (_, k) => start + k * (dilations[axis] ?? 1)).filter(
        (at) => at >= low && at < end,
      ).length;
    }),
  );
  const all = counts.reduce<number[]>((outer, inner) => outer.flatMap((a) => inner.map((b) => a * b)), [1]);
  return Float32Array.from(all, (count) => 1 / Math.max(1, count));
}
