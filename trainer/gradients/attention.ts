import { floatAttribute, intAttribute } from '../onnx/attributes.js';
import { TensorProto_DataType as DataType } from '../onnx/onnx.gen.js';
import { unsupported } from '../shapes/values.js';
import type { NodeGradient } from './nodeGradient.js';

/** Attention-23: softmax(q k' scale + mask) v for each head; groups of query heads may share keys and values. */
export function attention(g: NodeGradient): string {
  if (floatAttribute(g.node, 'softcap', 0) !== 0 || intAttribute(g.node, 'qk_matmul_output_mode', 0) !== 0)
    throw unsupported(g.node, 'has a softcap or gives out its scores');
  const flat = g.inputShape(0).length === 3;
  const heads = (input: number, name: string) => {
    const shape = g.inputShape(input);
    if (!flat) return { value: g.input(input), shape };
    const [batch = 1, length = 1, width = 1] = shape;
    const count = intAttribute(g.node, name, 1);
    const split = g.reshape(g.input(input), [batch, length, count, width / count]);
    return { value: g.transpose(split, [0, 2, 1, 3]), shape: [batch, count, length, width / count] };
  };
  const [q, k, v] = [heads(0, 'q_num_heads'), heads(1, 'kv_num_heads'), heads(2, 'kv_num_heads')];
  const [batch = 1, count = 1, queries = 1, depth = 1] = q.shape;
  const keys = k.shape[2] ?? 1;
  const shared = ({ value, shape }: typeof k) => {
    const [, own = 1, length = 1, width = 1] = shape;
    if (own === count) return value;
    const wide = g.emit('Expand', [
      g.reshape(value, [batch, own, 1, length, width]),
      g.ints([batch, own, count / own, length, width]),
    ]);
    return g.reshape(wide, [batch, count, length, width]);
  };
  const scale = floatAttribute(g.node, 'scale', 1 / Math.sqrt(depth));
  const turned = g.transpose(shared(k), [0, 1, 3, 2]);
  let scores = g.mul(g.emit('MatMul', [q.value, turned]), scale);
  if (intAttribute(g.node, 'is_causal', 0) !== 0) {
    const open = Array.from({ length: queries * keys }, (_, i) =>
      i % keys <= Math.floor(i / keys) ? 0 : -Infinity,
    );
    scores = g.add(scores, g.builder.floats([queries, keys], open));
  }
  if (g.input(3)) {
    const isBoolean = g.shapes.type(3) === DataType.BOOL;
    const mask = isBoolean ? g.emit('Where', [g.input(3), g.scalar(0), g.scalar(-Infinity)]) : g.input(3);
    scores = g.add(scores, mask);
  }
  const result = g.emit('MatMul', [g.emit('Softmax', [scores], { axis: -1 }), shared(v)]);
  if (!flat) return result;
  return g.reshape(g.transpose(result, [0, 2, 1, 3]), g.outputShape(0));
}

/** RotaryEmbedding-23: pairs of values are turned by the angle of their position (Su et al. 2021). */
export function rotaryEmbedding(g: NodeGradient): string {
  const shape = g.inputShape(0);
  const flat = shape.length === 3;
  const [batch = 1, second = 1, third = 1] = shape;
  const count = flat ? intAttribute(g.node, 'num_heads', 1) : second;
  const length = flat ? second : third;
  const width = flat ? third / count : (shape[3] ?? 1);
  const turned = intAttribute(g.node, 'rotary_embedding_dim', 0) || width;
  const x = flat
    ? g.transpose(g.reshape(g.input(0), [batch, length, count, width]), [0, 2, 1, 3])
    : g.input(0);
  const half = turned / 2;
  const angles = (input: number) => {
    const rows = g.input(3) ? g.emit('Gather', [g.input(input), g.input(3)], { axis: 0 }) : g.input(input);
    return g.emit('Unsqueeze', [rows, g.ints([1])]);
  };
  const [cos, sin] = [angles(1), angles(2)];
  const part = (value: string, from: number, to: number) =>
    g.emit('Slice', [value, g.ints([from]), g.ints([to]), g.ints([3])]);
  const rotated = turned === width ? x : part(x, 0, turned);
  const interleaved = intAttribute(g.node, 'interleaved', 0) !== 0;
  const pairs = interleaved ? g.reshape(rotated, [batch, count, length, half, 2]) : rotated;
  const pick = (at: number) =>
    interleaved
      ? g.emit('Gather', [pairs, g.builder.ints([], [at])], { axis: 4 })
      : part(pairs, at * half, (at + 1) * half);
  const [a, b] = [pick(0), pick(1)];
  const first = g.emit('Sub', [g.mul(a, cos), g.mul(b, sin)]);
  const other = g.add(g.mul(a, sin), g.mul(b, cos));
  const joined = interleaved
    ? g.reshape(
        g.emit(
          'Concat',
          [first, other].map((value) => g.emit('Unsqueeze', [value, g.ints([4])])),
          { axis: 4 },
        ),
        [batch, count, length, turned],
      )
    : g.emit('Concat', [first, other], { axis: 3 });
  const whole = turned === width ? joined : g.emit('Concat', [joined, part(x, turned, width)], { axis: 3 });
  return flat ? g.reshape(g.transpose(whole, [0, 2, 1, 3]), shape) : whole;
}
