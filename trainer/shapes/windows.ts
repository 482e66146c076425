import { intAttribute, intsAttribute, textAttribute } from '../onnx/attributes.js';
import { attribute, nodeLike } from '../onnx/builder.js';
import type { NodeProto } from '../onnx/onnx.gen.js';
import type { Shape } from '../onnx/tensor.js';
import { mismatch, text, unsupported, type NodeShapes } from './values.js';

/** Attributes of Conv and the pools with their defaults; pads are those before, then those after each axis. */
export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly pads: readonly number[];
  readonly dilations: readonly number[];
}

/** @param image what the window slides over, without batch and channels */
export function readWindow(node: NodeProto, kernel: readonly number[], image: readonly number[]): Window {
  const ones = kernel.map(() => 1);
  const [strides, dilations] = [
    intsAttribute(node, 'strides') ?? ones,
    intsAttribute(node, 'dilations') ?? ones,
  ];
  const given = {
    kernel,
    strides,
    dilations,
    pads: intsAttribute(node, 'pads') ?? [...ones, ...ones].fill(0),
  };
  const window = { ...given, pads: automaticPads(node, given, image) ?? given.pads };
  const positive = [...window.kernel, ...window.strides, ...window.dilations].every((size) => size >= 1);
  const lengths = [window.strides, window.dilations].every((list) => list.length === kernel.length);
  if (!positive || !lengths || window.pads.length !== 2 * kernel.length || window.pads.some((pad) => pad < 0))
    throw mismatch(node, `has strides, pads or dilations that do not fit its kernel ${text(kernel)}`);
  return window;
}

/** The same node with pads in numbers: onnxruntime refuses automatic ones with dilations. */
export function withExplicitPads(node: NodeProto, shapeOf: (value: string) => Shape): NodeProto {
  if (!textAttribute(node, 'auto_pad', 'NOTSET').startsWith('SAME')) return node;
  const image = shapeOf(node.input[0] ?? '').slice(2);
  const kernel = intsAttribute(node, 'kernel_shape') ?? shapeOf(node.input[1] ?? '').slice(2);
  const others = node.attribute.filter(({ name }) => name !== 'auto_pad' && name !== 'pads');
  return nodeLike(node, { attribute: [...others, attribute('pads', readWindow(node, kernel, image).pads)] });
}

/** SAME: as many windows as strides fit into the image, what is missing on both sides, an odd one at the end that is told. */
function automaticPads(
  node: NodeProto,
  { kernel, strides, dilations }: Window,
  image: readonly number[],
): number[] | undefined {
  const kind = textAttribute(node, 'auto_pad', 'NOTSET');
  if (!['SAME_UPPER', 'SAME_LOWER'].includes(kind)) return undefined;
  if (node.opType === 'ConvTranspose') throw unsupported(node, 'uses auto_pad; export explicit pads');
  const missing = image.map((size, axis) => {
    const [stride = 1, reach = 1] = [strides[axis], (dilations[axis] ?? 1) * ((kernel[axis] ?? 1) - 1) + 1];
    return Math.max(0, (Math.ceil(size / stride) - 1) * stride + reach - size);
  });
  const smaller = missing.map((count) => Math.floor(count / 2));
  const larger = missing.map((count) => Math.ceil(count / 2));
  return kind === 'SAME_UPPER' ? [...smaller, ...larger] : [...larger, ...smaller];
}

/** Whether no input is seen by two windows, and none lies outside: then a gradient goes back to one place. */
export function isApart(window: Window): boolean {
  const apart = window.strides.every((stride, axis) => stride === window.kernel[axis]);
  return apart && window.pads.every((pad) => pad === 0) && window.dilations.every((size) => size === 1);
}

export function convolution(s: NodeShapes): Shape {
  const [x, w] = [s.input(0), s.input(1)];
  const group = intAttribute(s.node, 'group', 1);
  const [batch = 0, channels = 0, ...spatial] = x;
  const [filters = 0, depth = 0, ...kernel] = w;
  if (x.length < 3 || x.length !== w.length || channels !== depth * group || filters % group !== 0)
    throw mismatch(s.node, `applies filters of ${text(w)} in ${group} group(s) to an input of ${text(x)}`);
  checkFilters(s, w, kernel, filters);
  return [batch, filters, ...slide(s.node, spatial, readWindow(s.node, kernel, spatial), false)];
}

export function transposedConvolution(s: NodeShapes): Shape {
  const [x, w] = [s.input(0), s.input(1)];
  const group = intAttribute(s.node, 'group', 1);
  const [batch = 0, channels = 0, ...spatial] = x;
  const [rows = 0, depth = 0, ...kernel] = w;
  if (x.length < 3 || x.length !== w.length || channels !== rows || group < 1 || channels % group !== 0)
    throw mismatch(s.node, `applies filters of ${text(w)} in ${group} group(s) to an input of ${text(x)}`);
  if (intsAttribute(s.node, 'output_shape'))
    throw unsupported(s.node, 'declares output_shape; export output_padding instead');
  checkFilters(s, w, kernel, depth * group);
  const { strides, pads, dilations } = readWindow(s.node, kernel, spatial);
  const extra = intsAttribute(s.node, 'output_padding') ?? kernel.map(() => 0);
  const sizes = spatial.map((size, axis) => {
    const reach = (dilations[axis] ?? 1) * ((kernel[axis] ?? 1) - 1) + 1;
    const cut = (pads[axis] ?? 0) + (pads[axis + kernel.length] ?? 0);
    return (strides[axis] ?? 1) * (size - 1) + (extra[axis] ?? 0) + reach - cut;
  });
  if (sizes.some((size) => size < 1)) throw mismatch(s.node, `gives an image of ${text(sizes)}`);
  return [batch, depth * group, ...sizes];
}

export function pooling(s: NodeShapes): Shape {
  const [batch = 0, channels = 0, ...spatial] = s.input(0);
  const window = readWindow(s.node, intsAttribute(s.node, 'kernel_shape') ?? [], spatial);
  if (window.kernel.length !== spatial.length || spatial.length === 0)
    throw mismatch(s.node, `slides a window of ${text(window.kernel)} over ${text(s.input(0))}`);
  const up = intAttribute(s.node, 'ceil_mode', 0) !== 0;
  if (intAttribute(s.node, 'storage_order', 0) !== 0) throw unsupported(s.node, 'stores columns first');
  return [batch, channels, ...slide(s.node, spatial, window, up)];
}

function checkFilters(s: NodeShapes, w: Shape, kernel: Shape, filters: number): void {
  if (s.has(2) && text(s.input(2)) !== text([filters]))
    throw mismatch(s.node, `adds a bias of ${text(s.input(2))} to ${filters} filters`);
  const declared = intsAttribute(s.node, 'kernel_shape');
  if (declared && text(declared) !== text(kernel))
    throw mismatch(s.node, `declares a kernel of ${text(declared)} but its filters are ${text(w)}`);
}

function slide(node: NodeProto, spatial: Shape, window: Window, up: boolean): Shape {
  return spatial.map((size, axis) => {
    const [kernel = 1, stride = 1, dilation = 1] = [
      window.kernel[axis],
      window.strides[axis],
      window.dilations[axis],
    ];
    const before = window.pads[axis] ?? 0;
    const padded = size + before + (window.pads[axis + spatial.length] ?? 0);
    const reach = dilation * (kernel - 1) + 1;
    if (reach > padded)
      throw mismatch(
        node,
        `slides a window of ${text(window.kernel)} over an image of only ${text(spatial)}`,
      );
    const steps = (padded - reach) / stride;
    const count = Math.floor(steps) + 1;
    // A window that would begin in the padding behind the image is left out, as PyTorch and onnxruntime do.
    return up && Math.ceil(steps) + 1 > count && count * stride < size + before ? count + 1 : count;
  });
}
