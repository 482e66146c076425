import type { Attribute, GraphBuilder } from '../onnx/builder.js';
import { elementCount, type Shape } from '../onnx/tensor.js';

/** onnxruntime's operators on tensors that keep their channels in blocks ("NCHWc": [batch, channels / b, height, width, b]). */
export const blockedDomain = 'com.microsoft.nchwc';

/** Attributes of a convolution of images. */
export interface Sliding {
  readonly kernel_shape: readonly number[];
  readonly strides: readonly number[];
  readonly pads: readonly number[];
  readonly dilations: readonly number[];
}

/**
 * Appends blocked operators and what brings values into blocks and out of them. A blocked tensor has the declared shape of
 * the plain one; only the order of its values differs. `shapes` learns those of the values that are made.
 */
export class BlockedWriter {
  readonly block: number;
  readonly #builder: GraphBuilder;
  readonly #shapes: Map<string, Shape>;
  /** Blocked images by the name of the plain ones. */
  readonly #images = new Map<string, string>();

  constructor(builder: GraphBuilder, shapes: Map<string, Shape>, block: number) {
    this.#builder = builder;
    this.#shapes = shapes;
    this.block = block;
  }

  /** Fewer channels than a block stay as they are: there is a kernel for that. */
  image(value: string, shape: Shape): string {
    if ((shape[1] ?? 0) < this.block) return value;
    const known = this.#images.get(value);
    if (known !== undefined) return known;
    const blocked = this.#blocked('ReorderInput', [value], {}, shape);
    this.#images.set(value, blocked);
    return blocked;
  }

  /**
   * A blocked convolution of a blocked image with blocked filters, plus a bias, plus a blocked `sum`.
   * @param relu replaces negative results by zero
   */
  convolution(
    { image, filters, bias, sum }: { image: string; filters: string; bias?: string; sum?: string },
    sliding: Sliding,
    shape: Shape,
    relu = false,
  ): string {
    const inputs = [image, filters, ...(bias || sum ? [bias ?? ''] : []), ...(sum ? [sum] : [])];
    const activation: Record<string, Attribute> = relu ? { activation: 'Relu' } : {};
    return this.#blocked('Conv', inputs, { ...sliding, group: 1, ...activation }, shape);
  }

  /** A blocked image in the usual order. */
  plain(blocked: string, shape: Shape, output?: string): string {
    return this.#blocked('ReorderOutput', [blocked], { channels: shape[1] ?? 0 }, shape, output);
  }

  /** [O, I, h, w] to [O/b, I/b, h, w, b of I, b of O], or [O/b, I, h, w, b of O] where I is less than a block. */
  filters(value: string, shape: Shape): string {
    const [filters = 0, channels = 0, height = 1, width = 1] = shape;
    const { block } = this;
    // Reordering images moves the filters of a block to the end, faster than Transpose does.
    const groups = [filters / block, block, channels * height, width];
    const outer = this.#blocked('ReorderInput', [this.reshape(value, groups)], {}, groups);
    if (channels < block) return this.reshape(outer, shape);
    const rows = [(filters * channels) / block / block, block, height * width, block];
    return this.reshape(this.transpose(this.reshape(outer, rows), rows, [0, 2, 1, 3]), shape);
  }

  /** [O, I, h, w] turned by half a circle, O and I exchanged: the filters that undo a convolution's sliding. */
  turnedFilters(value: string, [filters = 0, channels = 0, height = 1, width = 1]: Shape): string {
    const { block } = this;
    const area = height * width;
    const images = [(filters * channels) / block, block, height, width];
    const inner = this.#blocked('ReorderInput', [this.reshape(value, images)], {}, images);
    const inside = filters < block ? 1 : block;
    const split = [filters / inside, inside, channels / block, area, block];
    const exchanged = this.transpose(this.reshape(inner, split), split, [2, 0, 3, 1, 4]);
    const places = [...Array(area).keys()].toReversed();
    const turned = this.node('Gather', [exchanged, this.#builder.ints([area], places)], { axis: 2 }, [
      channels / block,
      filters / inside,
      area,
      inside,
      block,
    ]);
    return this.reshape(turned, [channels, filters, height, width]);
  }

  node(
    operator: string,
    inputs: readonly string[],
    attributes: Record<string, Attribute>,
    shape: Shape,
    output?: string,
  ): string {
    const name = this.#builder.node(operator, inputs, attributes, output);
    this.#shapes.set(name, shape);
    return name;
  }

  ints(values: readonly number[]): string {
    return this.#builder.ints([values.length], values);
  }

  reshape(value: string, shape: Shape, output?: string): string {
    return this.node('Reshape', [value, this.ints(shape)], {}, shape, output);
  }

  transpose(value: string, shape: Shape, perm: readonly number[]): string {
    const moved = perm.map((axis) => shape[axis] ?? 0);
    // Where an axis of one moves, nothing does.
    const long = perm.filter((axis) => shape[axis] !== 1);
    if (long.every((axis, at) => axis >= (long[at - 1] ?? 0))) return this.reshape(value, moved);
    return this.node('Transpose', [value], { perm }, moved);
  }

  /** Parts of these sizes along an axis. */
  split(value: string, shape: Shape, axis: number, sizes: readonly number[]): string[] {
    if (sizes.length === 1) return [value];
    const names = sizes.map((size) => {
      const name = this.#builder.names.fresh('part');
      this.#shapes.set(
        name,
        shape.map((dim, at) => (at === axis ? size : dim)),
      );
      return name;
    });
    this.#builder.add('Split', [value, this.ints(sizes)], names, { axis });
    return names;
  }

  #blocked(
    operator: string,
    inputs: readonly string[],
    attributes: Record<string, Attribute>,
    shape: Shape,
    output?: string,
  ): string {
    const name = output ?? this.#builder.names.fresh(`${operator}_blocked`);
    this.#builder.add(operator, inputs, [name], attributes).domain = blockedDomain;
    this.#shapes.set(name, shape);
    return name;
  }
}

/** Bytes of a float32 tensor. */
export function bytesOf(shape: Shape): number {
  return 4 * elementCount(shape);
}
