/** Which convolutions the blocked kernels take, and how each is written with them. */
import { intAttribute, intsAttribute } from '../onnx/attributes.js';
import type { NodeProto } from '../onnx/onnx.gen.js';
import type { Shape } from '../onnx/tensor.js';
import { readWindow, type Window } from '../shapes/windows.js';
import { bytesOf, type BlockedWriter, type Sliding } from './writer.js';

/** A convolution as it stands in the graph, with the shapes of what it reads. */
export interface Convolution {
  readonly node: NodeProto;
  readonly image: Shape;
  readonly filters: Shape;
}

/** How a convolution that was recognised is written. */
export interface Form {
  /** Whether it takes a Relu behind it along. */
  readonly rectifies: boolean;
  /** @param output what the result is called @param relu whether it is rectified */
  write(writer: BlockedWriter, output: string, relu: boolean): void;
}

/** The gradient for filters keeps that much of the gradient of the images in a processor's second cache. */
const cachedBytes = 2 ** 19;

/** How a convolution is written in blocks, if it can be and is faster so. */
export function blockedForm(convolution: Convolution, block: number): Form | undefined {
  const { node, image, filters } = convolution;
  if (intAttribute(node, 'group', 1) !== 1) return undefined;
  const window = readWindow(node, filters.slice(2), image.slice(2));
  if (node.opType === 'ConvTranspose') return transposed(convolution, window, block);
  if (image.length === 4) return plain(convolution, window, block);
  return image.length === 5 ? ofFilters(convolution, window, block) : undefined;
}

/** The usual convolution: [B, I, H, W] with [O, I, h, w]. */
function plain({ node, image, filters }: Convolution, window: Window, block: number): Form | undefined {
  const [results = 0, channels = 0, ...kernel] = filters;
  const sliding = slidingOf(window);
  if (!fits(channels, results, block) || !touches(image, sliding) || !pays(kernel)) return undefined;
  const shape = [image[0] ?? 0, results, ...placesOf(image.slice(2), sliding)];
  const write: Form['write'] = (writer, output, relu) => {
    const inputs = {
      image: writer.image(node.input[0] ?? '', image),
      filters: writer.filters(node.input[1] ?? '', filters),
      ...biasOf(node),
    };
    writer.plain(writer.convolution(inputs, sliding, shape, relu), shape, output);
  };
  return { rectifies: true, write };
}

/** A transposed convolution whose strides are one, such as a gradient for images: one with turned filters. */
function transposed({ node, image, filters }: Convolution, window: Window, block: number): Form | undefined {
  const [channels = 0, results = 0, ...kernel] = filters;
  const extra = intsAttribute(node, 'output_padding') ?? [];
  const reach = kernel.map((size, axis) => (window.dilations[axis] ?? 1) * (size - 1));
  const pads = window.pads.map((pad, at) => (reach[at % kernel.length] ?? 0) - pad);
  const sliding = { ...slidingOf(window), pads };
  if (image.length !== 4 || window.strides.some((stride) => stride !== 1)) return undefined;
  if (extra.some((count) => count !== 0) || pads.some((pad) => pad < 0)) return undefined;
  if (!fits(channels, results, block) || !touches(image, sliding) || !pays(kernel)) return undefined;
  const shape = [image[0] ?? 0, results, ...placesOf(image.slice(2), sliding)];
  const write: Form['write'] = (writer, output, relu) => {
    const inputs = {
      image: writer.image(node.input[0] ?? '', image),
      filters: writer.turnedFilters(node.input[1] ?? '', filters),
      ...biasOf(node),
    };
    writer.plain(writer.convolution(inputs, sliding, shape, relu), shape, output);
  };
  return { rectifies: true, write };
}

/**
 * A gradient for filters (gradients/windows.ts): images [1, B, C, H, W] with "filters" [O, B, 1, h, w] as large as the
 * results of the forward pass. Here C is the batch and B are the channels, taken in parts that are smaller than a block and
 * whose filters stay in the cache; each part adds to the result of the one before.
 */
function ofFilters({ node, image, filters }: Convolution, window: Window, block: number): Form | undefined {
  const [one = 0, batch = 0, channels = 0, ...space] = image;
  const [results = 0, , depth = 0, ...kernel] = filters;
  const [first, ...strides] = window.strides;
  const [, ...dilations] = window.dilations;
  const [low = 0, top = 0, left = 0, high = 0, bottom = 0, right = 0] = window.pads;
  if (one !== 1 || depth !== 1 || first !== 1 || low !== 0 || high !== 0 || node.input[2]) return undefined;
  const padded = [(space[0] ?? 0) + top + bottom, (space[1] ?? 0) + left + right];
  const sliding = { kernel_shape: kernel, strides, dilations, pads: [0, 0, 0, 0] };
  const places = placesOf(padded, sliding);
  if (results % block !== 0 || !pays(places)) return undefined;
  const write: Form['write'] = (writer, output) => {
    const stack = writer.reshape(node.input[0] ?? '', [batch, channels, ...space]);
    const turned = writer.transpose(stack, [batch, channels, ...space], [1, 0, 2, 3]);
    const shape = [channels, batch, ...padded];
    const edges = [0, 0, top, left, 0, 0, bottom, right];
    // The kernels take places at an edge one by one, and of the few there are here most would be such.
    const framed = edges.every((pad) => pad === 0)
      ? turned
      : writer.node('Pad', [turned, writer.ints(edges)], {}, shape);
    const most = Math.floor(cachedBytes / bytesOf([Math.min(results, 4 * block), ...kernel]));
    const sizes = parts(batch, Math.max(1, Math.min(block - 1, most)));
    const images = writer.split(framed, shape, 1, sizes);
    const gradients = writer.split(node.input[1] ?? '', filters, 1, sizes);
    const result = [channels, results, ...places];
    const total = sizes.reduce<string | undefined>((sum, size, at) => {
      const one = writer.filters(gradients[at] ?? '', [results, size, ...kernel]);
      const inputs = { image: images[at] ?? '', filters: one, ...(sum === undefined ? {} : { sum }) };
      return writer.convolution(inputs, sliding, result);
    }, undefined);
    const plain = writer.plain(total ?? '', result);
    writer.reshape(writer.transpose(plain, result, [1, 0, 2, 3]), [1, results, channels, ...places], output);
  };
  return { rectifies: false, write };
}

/** Results fill blocks, and channels do or are less than one. */
function fits(channels: number, results: number, block: number): boolean {
  return results % block === 0 && (channels < block || channels % block === 0);
}

/** A kernel of one pixel is a matrix product, which is as fast without blocks. */
function pays(kernel: readonly number[]): boolean {
  return kernel.every((size) => size > 1);
}

/** Whether every window holds a part of the image: the kernels count on it. */
function touches(image: Shape, { kernel_shape, dilations, pads }: Sliding): boolean {
  return kernel_shape.every((size, axis) => {
    const [dilation = 1, extent = 0] = [dilations[axis], image[axis + 2]];
    const reach = dilation * (size - 1);
    return extent >= dilation && (pads[axis] ?? 0) <= reach && (pads[axis + 2] ?? 0) <= reach;
  });
}

function slidingOf({ kernel, strides, pads, dilations }: Window): Sliding {
  return { kernel_shape: kernel, strides, pads, dilations };
}

function placesOf(space: readonly number[], { kernel_shape, strides, pads, dilations }: Sliding): number[] {
  return space.map((size, axis) => {
    const reach = (dilations[axis] ?? 1) * ((kernel_shape[axis] ?? 1) - 1) + 1;
    const padded = size + (pads[axis] ?? 0) + (pads[axis + space.length] ?? 0);
    return Math.floor((padded - reach) / (strides[axis] ?? 1)) + 1;
  });
}

function biasOf(node: NodeProto): { bias?: string } {
  return node.input[2] ? { bias: node.input[2] } : {};
}

/** `total` in as few nearly equal parts as `most` allows. */
function parts(total: number, most: number): number[] {
  const count = Math.ceil(total / most);
  return Array.from(
    { length: count },
    (_, i) => Math.floor(((i + 1) * total) / count) - Math.floor((i * total) / count),
  );
}
