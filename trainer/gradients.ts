import type { Attribute, GraphBuilder } from './onnx/builder.js';
import { floatAttribute, intAttribute, intsAttribute } from './onnx/attributes.js';
import { TensorProto_DataType as DataType, type NodeProto } from './onnx/onnx.gen.js';
import { elementCount, type Shape } from './onnx/tensor.js';
import { readWindow } from './shapes.js';

/**
 * How one node passes a gradient back: from the gradient of its output to those of its inputs, in the order of the
 * inputs. `undefined` where nothing flows (integers, or an input nobody needs).
 */
export type GradientRule = (g: NodeGradient) => (string | undefined)[];

/** The table of derivatives. Vector-Jacobian products as in any text on reverse mode, e.g. Griewank and Walther 2008, chapter 3. */
export const gradientRules: Record<string, GradientRule> = {
  Add: (g) =>
    [0, 1].map((input) => g.when(input, () => sumTo(g, g.dy, g.outputShape(0), g.inputShape(input)))),
  Conv: (g) => [
    g.when(0, () => convolutionInput(g)),
    g.when(1, () => convolutionFilters(g)),
    g.when(2, () => g.emit('ReduceSum', [g.dy, g.ints([0, ...spatialAxes(g)])], { keepdims: 0 })),
  ],
  Flatten: (g) => [g.reshape(g.dy, g.inputShape(0))],
  Gemm: gemm,
  Identity: (g) => [g.dy],
  MatMul: matMul,
  MaxPool: maxPool,
  Relu: (g) => [
    g.emit('Mul', [
      g.dy,
      g.emit('Cast', [g.emit('Greater', [g.output(0), g.scalar(0)])], { to: DataType.FLOAT }),
    ]),
  ],
  Reshape: (g) => [g.reshape(g.dy, g.inputShape(0)), undefined],
};

/** One node being differentiated: its values and shapes, and a place for the nodes of its gradient. */
export class NodeGradient {
  /** Name of the gradient of the node's first output. */
  readonly dy: string;
  readonly node: NodeProto;
  readonly #builder: GraphBuilder;
  readonly #shapes: ReadonlyMap<string, Shape>;
  readonly #needed: ReadonlySet<string>;

  constructor(
    builder: GraphBuilder,
    node: NodeProto,
    dy: string,
    shapes: ReadonlyMap<string, Shape>,
    needed: ReadonlySet<string>,
  ) {
    this.dy = dy;
    this.node = node;
    this.#builder = builder;
    this.#shapes = shapes;
    this.#needed = needed;
  }

  input(index: number): string {
    return this.node.input[index] ?? '';
  }

  /** Name of an output; one that the model left out is added to the node. */
  output(index: number): string {
    return (this.node.output[index] ||= this.#builder.names.fresh(`${this.node.output[0]}_${index}`));
  }

  inputShape(index: number): Shape {
    return this.#shapes.get(this.input(index)) ?? [];
  }

  outputShape(index: number): Shape {
    return this.#shapes.get(this.output(index)) ?? [];
  }

  /** Runs `rule` only when something that is trained lies behind the input. */
  when(index: number, rule: () => string): string | undefined {
    return this.#needed.has(this.input(index)) ? rule() : undefined;
  }

  emit(operator: string, inputs: readonly string[], attributes: Record<string, Attribute> = {}): string {
    return this.#builder.node(operator, inputs, attributes);
  }

  scalar(value: number): string {
    return this.#builder.floats([], [value]);
  }

  ones(shape: Shape): string {
    return this.#builder.floats(shape, new Float32Array(elementCount(shape)).fill(1));
  }

  ints(values: readonly number[]): string {
    return this.#builder.ints([values.length], values);
  }

  reshape(value: string, shape: Shape): string {
    return this.emit('Reshape', [value, this.ints(shape)]);
  }

  /** alpha * a' * b', where ' transposes on demand: no Transpose node, no copy. */
  gemm(a: string, transA: boolean, b: string, transB: boolean, alpha = 1): string {
    return this.emit('Gemm', [a, b], {
      transA: Number(transA),
      transB: Number(transB),
      alpha: { float: alpha },
    });
  }
}

/** Undoes broadcasting: sums a gradient over the axes along which a value was stretched. */
function sumTo(g: NodeGradient, dy: string, from: Shape, to: Shape): string {
  if (from.join() === to.join()) return dy;
  // A bias over the rows of a matrix: a product with ones is several times faster than ReduceSum.
  if (from.length === 2 && to.length === 1 && to[0] === from[1])
    return g.emit('MatMul', [g.ones([from[0] ?? 0]), dy]);
  const lead = from.length - to.length;
  const stretched = from.flatMap((dim, axis) =>
    axis < lead || (to[axis - lead] === 1 && dim !== 1) ? [axis] : [],
  );
  return g.reshape(g.emit('ReduceSum', [dy, g.ints(stretched)], { keepdims: 0 }), to);
}

/** Y = alpha A' B' + beta C (ONNX Gemm-13). */
function gemm(g: NodeGradient): (string | undefined)[] {
  const transA = intAttribute(g.node, 'transA', 0) !== 0;
  const transB = intAttribute(g.node, 'transB', 0) !== 0;
  const alpha = floatAttribute(g.node, 'alpha', 1);
  const beta = floatAttribute(g.node, 'beta', 1);
  const [a, b] = [g.input(0), g.input(1)];
  return [
    g.when(0, () => (transA ? g.gemm(b, transB, g.dy, true, alpha) : g.gemm(g.dy, false, b, !transB, alpha))),
    g.when(1, () => (transB ? g.gemm(g.dy, true, a, transA, alpha) : g.gemm(a, !transA, g.dy, false, alpha))),
    g.when(2, () => {
      const sum = sumTo(g, g.dy, g.outputShape(0), g.inputShape(2));
      return beta === 1 ? sum : g.emit('Mul', [sum, g.scalar(beta)]);
    }),
  ];
}

/** Y = A B over the last two axes. A linear layer on sequences ([.., K] times [K, N]) is one matrix product. */
function matMul(g: NodeGradient): (string | undefined)[] {
  const [a, b] = [g.inputShape(0), g.inputShape(1)];
  if (b.length === 2) {
    const rows = (value: string, shape: Shape) =>
      shape.length === 2 ? value : g.reshape(value, [elementCount(shape.slice(0, -1)), shape.at(-1) ?? 0]);
    const dy = rows(g.dy, g.outputShape(0));
    const back = (value: string) => (a.length === 2 ? value : g.reshape(value, a));
    return [
      g.when(0, () => back(g.gemm(dy, false, g.input(1), true))),
      g.when(1, () => g.gemm(rows(g.input(0), a), true, dy, false)),
    ];
  }
  const transposed = (value: string, rank: number) =>
    g.emit('Transpose', [value], { perm: [...Array(rank - 2).keys(), rank - 1, rank - 2] });
  const batch = g.outputShape(0).slice(0, -2);
  return [
    g.when(0, () =>
      sumTo(g, g.emit('MatMul', [g.dy, transposed(g.input(1), b.length)]), [...batch, ...a.slice(-2)], a),
    ),
    g.when(1, () =>
      sumTo(g, g.emit('MatMul', [transposed(g.input(0), a.length), g.dy]), [...batch, ...b.slice(-2)], b),
    ),
  ];
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
 * dW: the convolution of X with dY, where the batch takes the place of the channels; strides and dilations change
 * places. With groups, the group stands in front of the batch, so that each group meets its own filters.
 */
function convolutionFilters(g: NodeGradient): string {
  const [x, w] = [g.inputShape(0), g.inputShape(1)];
  const { kernel, strides, pads, dilations } = readWindow(g.node, w.slice(2));
  const group = intAttribute(g.node, 'group', 1);
  const [batch = 0, ...dy] = g.outputShape(0);
  const images = batchAsChannels(g, g.input(0), x, group, true);
  const filters = batchAsChannels(g, g.dy, [batch, ...dy], group, false);
  const full = g.emit('Conv', [images, filters], {
    kernel_shape: dy.slice(1),
    strides: dilations,
    pads,
    dilations: strides,
    group,
  });
  // A stride that does not divide the image leaves a margin that the forward pass never looked at.
  const sizes = kernel.map((_, axis) => {
    const [stride = 1, dilation = 1] = [strides[axis], dilations[axis]];
    const padded = (x[axis + 2] ?? 0) + (pads[axis] ?? 0) + (pads[axis + kernel.length] ?? 0);
    return Math.floor((padded - (stride * ((dy[axis + 1] ?? 1) - 1) + 1)) / dilation) + 1;
  });
  const axes = spatialAxes(g);
  const exact = sizes.join() === kernel.join();
  const cut = exact
    ? full
    : g.emit('Slice', [full, g.ints(kernel.map(() => 0)), g.ints(kernel), g.ints(axes)]);
  return g.emit('Transpose', [cut], { perm: [1, 0, ...axes] });
}

/** [B, g*C, ...] to [C, g*B, ...] (images) or [g*C, B, ...] (filters). */
function batchAsChannels(
  g: NodeGradient,
  value: string,
  shape: Shape,
  group: number,
  images: boolean,
): string {
  const [batch = 0, channels = 0, ...spatial] = shape;
  if (group === 1)
    return g.emit('Transpose', [value], { perm: [1, 0, ...spatial.map((_, axis) => axis + 2)] });
  const split = g.reshape(value, [batch, group, channels / group, ...spatial]);
  const perm = [...(images ? [2, 1, 0] : [1, 2, 0]), ...spatial.map((_, axis) => axis + 3)];
  const moved = g.emit('Transpose', [split], { perm });
  return g.reshape(
    moved,
    images ? [channels / group, group * batch, ...spatial] : [channels, batch, ...spatial],
  );
}

/**
 * The gradient goes to the first largest value of each window, as in PyTorch. (Comparing the input with the output
 * would pay every one of several equal values, which images with a plain background have everywhere.) Windows that
 * overlap would need a sum here; shapes.ts refuses them.
 */
function maxPool(g: NodeGradient): (string | undefined)[] {
  const { kernel, strides } = readWindow(g.node, intsAttribute(g.node, 'kernel_shape') ?? []);
  return [
    g.emit('MaxUnpool', [g.dy, g.output(1), g.ints(g.inputShape(0))], { kernel_shape: kernel, strides }),
  ];
}
