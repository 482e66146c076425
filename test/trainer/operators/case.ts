/** For every operator that can be trained: small graphs with shapes and attributes drawn at random. */
import * as fc from 'fast-check';
import type { Attribute, GraphBuilder } from '#trainer/onnx/builder.js';
import type { Shape } from '#trainer/onnx/tensor.js';
import type { Feed } from '../onnxRuntime.js';

/** A small graph: named float inputs, of which all are differentiated, and one output called y. */
export interface Case {
  readonly inputs: Record<string, Shape>;
  build(builder: GraphBuilder): void;
  /** Decides the values. */
  readonly seed: number;
  /** Where the operator is smooth and its values moderate; the values given are odd sixteenths, all different. */
  readonly domain?: (value: number, input: string) => number;
  /** The graph bends between its kinks: differences of fourth order, and a wider tolerance. */
  readonly curved?: boolean;
  /** Inputs that are not differentiated, and are given. */
  readonly constants?: Record<string, Feed>;
  readonly opset?: number;
}

export const size = fc.integer({ min: 1, max: 4 });
export const few = fc.integer({ min: 1, max: 2 });
export const seed = fc.nat(1_000_000);
export const flag = fc.integer({ min: 0, max: 1 });

export const shape = fc.array(size, { minLength: 1, maxLength: 4 });
export const small = (value: number) => value / 4;
/** Never equal between inputs: where two are, a maximum bends. */
export const apart = (value: number, input: string) => value / 2 + 'abc'.indexOf(input) / 48;
export const positive = (value: number) => 0.75 + Math.abs(value) / 4;

/** A function of one value, at random places. */
export function unary(
  name: string,
  domain: (value: number) => number = small,
  attributes: fc.Arbitrary<Record<string, Attribute>> = fc.constant({}),
): fc.Arbitrary<Case> {
  return fc
    .record({ shape: fc.array(size, { maxLength: 3 }), attributes, seed })
    .map(({ shape, attributes, seed }) => ({
      ...operator(name, { x: shape }, attributes, seed),
      domain,
      curved: true,
    }));
}

/** Several values, stretched to each other. */
export function broadcasting(name: string, domain: Case['domain'] = small, most = 2): fc.Arbitrary<Case> {
  return fc
    .record({
      shape,
      ones: fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
      cut: fc.nat(3),
      count: fc.integer({ min: Math.min(2, most), max: most }),
      seed,
    })
    .map(({ shape, ones, cut, count, seed }) => {
      const inputs = Object.fromEntries(
        Array.from({ length: count }, (_, index) => [
          'abc'[index] ?? '',
          shape.map((dim, axis) => (ones[axis + 4 * index] ? 1 : dim)).slice(index === 1 ? cut : 0),
        ]),
      );
      return { ...operator(name, inputs, {}, seed), domain, curved: true };
    });
}

/** A sum of some kind over some axes. */
export function reduction(name: string, domain: Case['domain'] = small): fc.Arbitrary<Case> {
  return fc
    .record({ shape, chosen: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), keepdims: flag, seed })
    .map(({ shape, chosen, keepdims, seed }) => ({
      inputs: { x: shape },
      seed,
      domain,
      curved: true,
      build(builder) {
        const axes = shape.flatMap((_, axis) => (chosen[axis] ? [axis - shape.length] : []));
        const inputs = axes.length === 0 ? ['x'] : ['x', builder.ints([axes.length], axes)];
        builder.node(name, inputs, { keepdims }, 'y');
      },
    }));
}

/** An operator along one axis. */
export function alongAxis(name: string, attributes: Record<string, Attribute> = {}): fc.Arbitrary<Case> {
  return fc.record({ shape, axis: fc.nat(3), seed }).map(({ shape, axis, seed }) => ({
    ...operator(name, { x: shape }, { axis: (axis % shape.length) - shape.length, ...attributes }, seed),
    domain: small,
    curved: true,
  }));
}

/** One graph with parts drawn from a seed. */
export function drawn<T>(
  parts: fc.Arbitrary<T>,
  make: (parts: T, seed: number) => Omit<Case, 'seed'>,
): fc.Arbitrary<Case> {
  return fc.tuple(parts, seed).map(([drawn, seed]) => ({ ...make(drawn, seed), seed }));
}

export const ints = (data: readonly number[], dims: readonly number[]): Feed => ({
  type: 'int64',
  data: BigInt64Array.from(data, BigInt),
  dims,
});
export const indices = (count: number, size: number, seed: number) =>
  Array.from({ length: count }, (_, i) => ((i * 7 + seed) % (2 * size)) - size);

export const alpha = fc.constantFrom(0.1, 0.5, 1).map((alpha) => ({ alpha: { float: alpha } }));

export function operator(
  name: string,
  inputs: Record<string, Shape>,
  attributes: Record<string, Attribute>,
  seed: number,
): Case {
  return { inputs, seed, build: (builder) => void builder.node(name, Object.keys(inputs), attributes, 'y') };
}
