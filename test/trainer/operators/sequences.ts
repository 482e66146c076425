import * as fc from 'fast-check';
import { type Shape } from '#trainer/onnx/tensor.js';
import { drawn, few, flag, size, small, operator, type Case } from './case.js';
import type { Feed } from '../onnxRuntime.js';

/** Operators over sequences. */
export const sequences: Record<string, fc.Arbitrary<Case>> = {
  LSTM: recurrent('LSTM', 4),
  GRU: recurrent('GRU', 3),
  RNN: recurrent('RNN', 1),
  Attention: drawn(
    fc.tuple(few, few, size, size, flag, fc.boolean(), fc.boolean()),
    ([batch, group, queries, keys, causal, flat, mask]) => {
      const inputs: Record<string, Shape> = flat
        ? { q: [batch, queries, 2 * group * 2], k: [batch, keys, 4], v: [batch, keys, 6] }
        : { q: [batch, 2 * group, queries, 2], k: [batch, 2, keys, 2], v: [batch, 2, keys, 3] };
      const heads = flat ? { q_num_heads: 2 * group, kv_num_heads: 2 } : {};
      return {
        ...operator(
          'Attention',
          { ...inputs, ...(mask ? { m: [queries, keys] } : {}) },
          { is_causal: causal, ...heads },
          0,
        ),
        opset: 23,
        domain: small,
        curved: true,
      };
    },
  ),
  RotaryEmbedding: drawn(
    fc.tuple(few, size, flag, fc.boolean()),
    ([batch, length, interleaved, flat], seed) => {
      const table = (f: (x: number) => number): Feed => ({
        type: 'float32',
        data: Float32Array.from({ length: batch * length * 2 }, (_, i) => f(i + seed)),
        dims: [batch, length, 2],
      });
      return {
        inputs: { x: flat ? [batch, length, 8] : [batch, 2, length, 4] },
        constants: { cos: table(Math.cos), sin: table(Math.sin) },
        opset: 23,
        build: (builder) =>
          void builder.node(
            'RotaryEmbedding',
            ['x', 'cos', 'sin'],
            { interleaved, ...(flat ? { num_heads: 2 } : {}) },
            'y',
          ),
      };
    },
  ),
};

function recurrent(name: string, gates: number): fc.Arbitrary<Case> {
  const parts = fc.tuple(
    size,
    few,
    size,
    few,
    fc.constantFrom('forward', 'reverse', 'bidirectional'),
    fc.boolean(),
    fc.nat(2),
    flag,
  );
  return drawn(parts, ([steps, batch, width, hidden, direction, bias, seen, after]) => {
    const n = direction === 'bidirectional' ? 2 : 1;
    const state = [n, batch, hidden];
    const inputs: Record<string, Shape> = {
      x: [steps, batch, width],
      w: [n, gates * hidden, width],
      r: [n, gates * hidden, hidden],
      ...(bias ? { b: [n, 2 * gates * hidden] } : {}),
      h: state,
      ...(name === 'LSTM' ? { c: state } : {}),
    };
    return {
      inputs,
      domain: (value) => value / 8,
      curved: true,
      build(builder) {
        const given = ['x', 'w', 'r', bias ? 'b' : '', '', 'h', ...(name === 'LSTM' ? ['c'] : [])];
        const reset = name === 'GRU' ? { linear_before_reset: after } : {};
        const outputs = ['all', 'last', ...(name === 'LSTM' ? ['cell'] : [])];
        builder.add(name, given, outputs, { hidden_size: hidden, direction, ...reset });
        const used = [['all', 'last'], ['last'], outputs][seen] ?? [];
        const flat = used.map((value) => builder.node('Reshape', [value, builder.ints([1], [-1])]));
        builder.node('Concat', flat, { axis: 0 }, 'y');
      },
    };
  });
}

/** MaxPool as images are usually reduced: windows that overlap, or reach over the edge. */
