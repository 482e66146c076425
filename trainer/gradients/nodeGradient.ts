import type { Attribute, GraphBuilder } from '../onnx/builder.js';
import type { NodeProto } from '../onnx/onnx.gen.js';
import { elementCount, type Shape } from '../onnx/tensor.js';
import { NodeShapes, type KnownValues } from '../shapes/values.js';

/**
 * How one node passes a gradient back: from the gradient of its outputs to those of its inputs, in the order of the
 * inputs. `undefined` where nothing flows (integers, or an input nobody needs).
 */
export type GradientRule = (g: NodeGradient) => (string | undefined)[];

/** One node being differentiated: its values and shapes, and a place for the nodes of its gradient. */
export class NodeGradient {
  readonly node: NodeProto;
  readonly shapes: NodeShapes;
  readonly builder: GraphBuilder;
  readonly #gradients: readonly (string | undefined)[];
  readonly #needed: ReadonlySet<string>;

  constructor(
    builder: GraphBuilder,
    node: NodeProto,
    gradients: readonly (string | undefined)[],
    known: KnownValues,
    needed: ReadonlySet<string>,
    opset: number,
  ) {
    this.builder = builder;
    this.node = node;
    this.shapes = new NodeShapes(node, known, opset);
    this.#gradients = gradients;
    this.#needed = needed;
  }

  /** Name of the gradient of the node's first output. */
  get dy(): string {
    return this.#gradients[0] ?? this.zeros(this.outputShape(0));
  }

  /** Name of the gradient of an output, if anything depends on it. */
  dyOf(output: number): string | undefined {
    return this.#gradients[output];
  }

  input(index: number): string {
    return this.node.input[index] ?? '';
  }

  /** Name of an output; one that the model left out is added to the node. */
  output(index: number): string {
    while (this.node.output.length < index) this.node.output.push('');
    return (this.node.output[index] ||= this.builder.names.fresh(`${this.node.output[0]}_${index}`));
  }

  inputShape(index: number): Shape {
    return this.shapes.known.shapes.get(this.input(index)) ?? [];
  }

  outputShape(index: number): Shape {
    return this.shapes.known.shapes.get(this.node.output[index] ?? '') ?? [];
  }

  needs(index: number): boolean {
    return this.#needed.has(this.input(index));
  }

  /** Runs `rule` only when something that is trained lies behind the input. */
  when(index: number, rule: () => string): string | undefined {
    return this.needs(index) ? rule() : undefined;
  }

  emit(operator: string, inputs: readonly string[], attributes: Record<string, Attribute> = {}): string {
    return this.builder.node(operator, inputs, attributes);
  }

  mul(a: string, b: string | number): string {
    return b === 1 ? a : this.emit('Mul', [a, this.#operand(b)]);
  }

  add(a: string, b: string | number): string {
    return this.emit('Add', [a, this.#operand(b)]);
  }

  sub(a: string | number, b: string): string {
    return this.emit('Sub', [this.#operand(a), b]);
  }

  div(a: string | number, b: string): string {
    return this.emit('Div', [this.#operand(a), b]);
  }

  neg(a: string): string {
    return this.emit('Neg', [a]);
  }

  square(a: string): string {
    return this.emit('Mul', [a, a]);
  }

  /** 1.0 where a condition holds, 0.0 elsewhere. */
  mask(operator: string, a: string, b: string | number): string {
    return this.emit('Cast', [this.emit(operator, [a, this.#operand(b)])], { to: 1 });
  }

  scalar(value: number): string {
    return this.builder.floats([], [value]);
  }

  ones(shape: Shape): string {
    return this.builder.floats(shape, new Float32Array(elementCount(shape)).fill(1));
  }

  zeros(shape: Shape): string {
    if (elementCount(shape) <= 256) return this.builder.floats(shape, new Float32Array(elementCount(shape)));
    return this.emit('Expand', [this.scalar(0), this.ints(shape)]);
  }

  ints(values: readonly number[]): string {
    return this.builder.ints([values.length], values);
  }

  reshape(value: string, shape: Shape): string {
    return this.emit('Reshape', [value, this.ints(shape)]);
  }

  transpose(value: string, perm: readonly number[]): string {
    return perm.every((axis, at) => axis === at) ? value : this.emit('Transpose', [value], { perm });
  }

  sum(value: string, axes: readonly number[], keepdims: boolean): string {
    return this.emit('ReduceSum', [value, this.ints(axes)], { keepdims: Number(keepdims) });
  }

  /** alpha * a' * b', where ' transposes on demand: no Transpose node, no copy. */
  gemm(a: string, transA: boolean, b: string, transB: boolean, alpha = 1): string {
    return this.emit('Gemm', [a, b], {
      transA: Number(transA),
      transB: Number(transB),
      alpha: { float: alpha },
    });
  }

  /** Undoes broadcasting: sums a gradient over the axes along which a value was stretched. */
  sumTo(dy: string, from: Shape, to: Shape): string {
    if (from.join() === to.join()) return dy;
    const columns = to.at(-1) ?? 1;
    const rows = elementCount(from) / columns;
    // A bias over the rows of a matrix: a product with ones is several times faster than ReduceSum.
    if (elementCount(to) === columns && from.at(-1) === columns && columns > 1 && from.length > 1) {
      const matrix = from.length === 2 ? dy : this.reshape(dy, [rows, columns]);
      const sum = this.emit('MatMul', [this.ones([rows]), matrix]);
      return to.length === 1 ? sum : this.reshape(sum, to);
    }
    const lead = from.length - to.length;
    const stretched = from.flatMap((dim, axis) =>
      axis < lead || (to[axis - lead] === 1 && dim !== 1) ? [axis] : [],
    );
    const sum = stretched.length === 0 ? dy : this.sum(dy, stretched, false);
    return this.reshape(sum, to);
  }

  /** The gradient of an input that was broadcast to the shape of the first output. */
  back(index: number, gradient: () => string): string | undefined {
    return this.when(index, () => this.sumTo(gradient(), this.outputShape(0), this.inputShape(index)));
  }

  #operand(value: string | number): string {
    return typeof value === 'number' ? this.scalar(value) : value;
  }
}
