import { create } from '@bufbuild/protobuf';
import { textAttribute } from '../onnx/attributes.js';
import { attribute } from '../onnx/builder.js';
import { NodeProtoSchema, type NodeProto } from '../onnx/onnx.gen.js';
import type { KnownValues } from '../shapes/values.js';
import type { NodeGradient } from './nodeGradient.js';

/**
 * 0.5 x (1 + tanh u), u = k x (1 + c x^2): the usual approximation of x Phi(x) (Hendrycks and Gimpel 2016). As
 * (1 + tanh u) / 2 = sigmoid(2 u), it is x s with s = sigmoid(v), v = 2 u; and x v' = 3 v - 4 k x, so that
 * the derivative is s + s (1 - s) (3 v - 4 k x).
 */
const k = Math.sqrt(2 / Math.PI);
const c = 0.044715;
/** Of no form in use do more nodes lie behind one another. */
const longest = 8;

export function isTanhGelu(node: NodeProto): boolean {
  return node.opType === 'Gelu' && textAttribute(node, 'approximate', 'none') === 'tanh';
}

/** From s and v, which the forward pass keeps as further outputs of the node; writeTanhGelu makes them. */
export function tanhGelu(g: NodeGradient): string {
  const [s, v] = [g.output(1), g.output(2)];
  const bent = g.emit('Sub', [g.mul(v, 3), g.mul(g.input(0), 4 * k)]);
  const slope = g.add(s, g.mul(g.emit('Sub', [s, g.square(s)]), bent));
  return g.mul(g.dy, slope);
}

/** The forward pass of a Gelu whose derivative asked for what it keeps. */
export function writeTanhGelu(g: NodeGradient): void {
  const { builder, node } = g;
  const [y = '', s = '', v = ''] = node.output;
  const x = g.input(0);
  builder.node('Mul', [x, g.add(g.mul(g.square(x), 2 * k * c), 2 * k)], {}, v);
  builder.node('Sigmoid', [v], {}, s);
  builder.node('Mul', [x, s], {}, y);
}

/**
 * Where exporters and models write it out, in whatever order: from the node that makes its result to the Gelu it is. Other
 * readers of what lies between keep what they read.
 */
export function findTanhGelus(nodes: readonly NodeProto[], known: KnownValues): Map<NodeProto, NodeProto> {
  const pattern = new Pattern(nodes, known);
  return new Map(
    nodes.flatMap((node) => {
      const found = node.opType === 'Tanh' ? pattern.around(node) : undefined;
      return found ? [found] : [];
    }),
  );
}

class Pattern {
  readonly #known: KnownValues;
  readonly #producers: ReadonlyMap<string, NodeProto>;
  readonly #readers = new Map<string, NodeProto[]>();

  constructor(nodes: readonly NodeProto[], known: KnownValues) {
    this.#known = known;
    this.#producers = new Map(nodes.flatMap((node) => node.output.map((name) => [name, node] as const)));
    for (const node of nodes)
      for (const name of node.input) {
        const readers = this.#readers.get(name);
        if (readers) readers.push(node);
        else this.#readers.set(name, [node]);
      }
  }

  /** Follows a Tanh to where it has become a half of 1 + tanh u, times the x that u is made of. */
  around(tanh: NodeProto): [NodeProto, NodeProto] | undefined {
    const [u = '', t = ''] = [tanh.input[0], tanh.output[0]];
    let [value, x, factor] = [t, '', 0];
    for (let length = 0; length < longest; length++) {
      const [reader, ...others] = this.#readers.get(value) ?? [];
      if (!reader || others.length > 0) return undefined;
      const result = reader.output[0] ?? '';
      if (factor === 0) {
        // Still tanh u itself, or a multiple of it: until as much is added.
        const [constant = 0, slope] = this.#polynomial(result, t) ?? [];
        if (slope === undefined) return undefined;
        if (constant === slope) factor = slope;
      } else {
        const multiple = this.#multiple(reader, value, x === '' ? u : undefined);
        if (!multiple) return undefined;
        factor *= multiple.factor;
        x ||= multiple.x;
      }
      if (x !== '' && near(factor, 0.5)) return this.#gelu(reader, x);
      value = result;
    }
    return undefined;
  }

  /** What a node multiplies `value` by: a number, or, where u is told, a number times the x that u is made of. */
  #multiple(
    node: NodeProto,
    value: string,
    u: string | undefined,
  ): { x: string; factor: number } | undefined {
    const [first = '', second = ''] = node.input;
    const other = first === value ? second : first;
    const number = this.#number(other);
    if (node.opType === 'Div' && first === value && number !== undefined)
      return { x: '', factor: 1 / number };
    if (node.opType !== 'Mul') return undefined;
    if (number !== undefined) return { x: '', factor: number };
    return u === undefined ? undefined : this.#argument(u, other);
  }

  #gelu(last: NodeProto, x: string): [NodeProto, NodeProto] | undefined {
    const sizes = [x, last.output[0] ?? ''].map((name) => this.#known.shapes.get(name)?.join());
    if (sizes[0] !== sizes[1]) return undefined;
    const attributes = [attribute('approximate', 'tanh')];
    const { name, output } = last;
    return [
      last,
      create(NodeProtoSchema, {
        opType: 'Gelu',
        name,
        input: [x],
        output: [...output],
        attribute: attributes,
      }),
    ];
  }

  /** x, where `value` is x or a number times x and u is k x + k c x^3. */
  #argument(u: string, value: string): { x: string; factor: number } | undefined {
    const maker = this.#producers.get(value);
    const scaled = maker?.opType === 'Mul' ? maker.input : [];
    const inner = scaled.flatMap((name, at) => {
      const number = this.#number(scaled[1 - at] ?? '');
      return number === undefined ? [] : [{ x: name, factor: number }];
    });
    return [{ x: value, factor: 1 }, ...inner].find(({ x }) => {
      const found = this.#polynomial(u, x);
      return found?.length === 4 && [0, k, 0, k * c].every((wanted, at) => near(found[at] ?? 0, wanted));
    });
  }

  /** Coefficients of a value as a polynomial of `x` of third degree at most, if it is one. */
  #polynomial(value: string, x: string, depth = 0): number[] | undefined {
    if (value === x) return [0, 1];
    return depth > longest ? undefined : this.#expand(value, (name) => this.#polynomial(name, x, depth + 1));
  }

  #expand(value: string, of: (name: string) => number[] | undefined): number[] | undefined {
    const number = this.#number(value);
    if (number !== undefined) return [number];
    const node = this.#producers.get(value);
    const [first = '', second = ''] = node?.input ?? [];
    switch (node?.opType) {
      case 'Identity':
        return of(first);
      case 'Add':
        return sum(of(first), of(second));
      case 'Mul':
        return product(of(first), of(second));
      case 'Div': {
        const divisor = this.#number(second);
        return divisor === undefined ? undefined : product(of(first), [1 / divisor]);
      }
      case 'Pow': {
        const [base, exponent] = [of(first), this.#number(second)];
        if (exponent === 2) return product(base, base);
        return exponent === 3 ? product(product(base, base), base) : undefined;
      }
      default:
        return undefined;
    }
  }

  #number(name: string): number | undefined {
    const contents = this.#known.contents.get(name);
    return contents?.length === 1 ? contents[0] : undefined;
  }
}

function sum(a: number[] | undefined, b: number[] | undefined): number[] | undefined {
  if (!a || !b) return undefined;
  return Array.from({ length: Math.max(a.length, b.length) }, (_, at) => (a[at] ?? 0) + (b[at] ?? 0));
}

function product(a: number[] | undefined, b: number[] | undefined): number[] | undefined {
  if (!a || !b || a.length + b.length > 5) return undefined;
  const result = Array<number>(a.length + b.length - 1).fill(0);
  a.forEach((left, i) => b.forEach((right, j) => (result[i + j] = (result[i + j] ?? 0) + left * right)));
  return result;
}

/** Exporters round the numbers to float32, people to some digits. */
function near(a: number, b: number): boolean {
  return Math.abs(a - b) <= 1e-6;
}
