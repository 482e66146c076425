import { GraphBuilder, valueInfo, type Names } from '../onnx/builder.js';
import { intAttribute, textAttribute } from '../onnx/attributes.js';
import type { Shape } from '../onnx/tensor.js';
import { unsupported } from '../shapes/values.js';
import { NodeGradient, type GradientRule } from './nodeGradient.js';

/**
 * Backpropagation through time. The forward pass is onnxruntime's own kernel, which keeps only h; its gates are computed
 * again for all steps at once, and only what truly depends on the step after it runs step by step, in a Scan.
 */
export const recurrentGradients: Record<string, GradientRule> = {
  LSTM: (g) => recurrent(g, lstmDirection),
  GRU: (g) => recurrent(g, gruDirection),
};

/** One direction: its tensors, steps in the order in which they are computed. */
interface Direction {
  readonly steps: number;
  readonly batch: number;
  readonly hidden: number;
  /** [steps, batch, width] */
  readonly x: string;
  readonly width: number;
  /** [gates * hidden, width] and [gates * hidden, hidden] */
  readonly w: string;
  readonly r: string;
  /** [gates * hidden] each, or undefined */
  readonly biases: readonly [string, string] | undefined;
  /** [batch, hidden] */
  readonly h0: string;
  readonly c0: string;
  /** [steps, batch, hidden]: the states before each step, and the gradients of those after it. */
  readonly before: string;
  readonly dy: string;
  /** Gradients of the last states, [batch, hidden]. */
  readonly dh: string;
  readonly dc: string;
}

/** Gradients of a direction's x, w, r, both biases and initial states. */
interface DirectionGradient {
  readonly x: string;
  readonly w: string;
  readonly r: string;
  readonly biases: readonly [string, string];
  readonly h0: string;
  readonly c0?: string;
}

function recurrent(
  g: NodeGradient,
  rule: (g: NodeGradient, d: Direction) => DirectionGradient,
): (string | undefined)[] {
  const [steps = 0, batch = 0, width = 0] = g.inputShape(0);
  const [directions = 1] = g.inputShape(1);
  const hidden = g.inputShape(2)[2] ?? 0;
  if (g.node.attribute.some(({ name }) => ['activations', 'clip'].includes(name)) && !isUsual(g))
    throw unsupported(g.node, 'has activations of its own, or clips');
  const gates = (g.inputShape(1)[1] ?? 0) / hidden;
  const backwards = (direction: number) =>
    direction === 1 || textAttribute(g.node, 'direction', 'forward') === 'reverse';
  const pick = (value: string, at: number, shape: Shape) =>
    g.reshape(directions === 1 ? value : slice(g, value, 0, at, at + 1), shape);
  const turn = (value: string, direction: number) =>
    backwards(direction)
      ? g.emit('Slice', [value, g.ints([-1]), g.ints([-(2 ** 52)]), g.ints([0]), g.ints([-1])])
      : value;
  const state = [batch, hidden];
  const results = Array.from({ length: directions }, (_, at) => {
    const initial = (input: number) => (g.input(input) ? pick(g.input(input), at, state) : g.zeros(state));
    const ending = (output: number) => {
      const gradient = g.dyOf(output);
      return gradient === undefined ? g.zeros(state) : pick(gradient, at, state);
    };
    const steady = [steps, batch, hidden];
    const ofDirection = (value: string) =>
      turn(g.reshape(directions === 1 ? value : slice(g, value, 1, at, at + 1), steady), at);
    const h0 = initial(5);
    const y = ofDirection(g.output(0));
    const first = g.reshape(h0, [1, batch, hidden]);
    const half = gates * hidden;
    const bias = g.input(3) ? pick(g.input(3), at, [2 * half]) : undefined;
    const dy = g.dyOf(0);
    const result = rule(g, {
      steps,
      batch,
      hidden,
      width,
      x: turn(g.input(0), at),
      w: pick(g.input(1), at, [gates * hidden, width]),
      r: pick(g.input(2), at, [gates * hidden, hidden]),
      biases:
        bias === undefined ? undefined : [slice(g, bias, 0, 0, half), slice(g, bias, 0, half, 2 * half)],
      h0,
      c0: initial(6),
      before: steps === 1 ? first : g.emit('Concat', [first, slice(g, y, 0, 0, steps - 1)], { axis: 0 }),
      dy: dy === undefined ? g.zeros(steady) : ofDirection(dy),
      dh: ending(1),
      dc: ending(2),
    });
    return { ...result, x: turn(result.x, at) };
  });
  const joined = (values: readonly string[], shape: Shape) => {
    const parts = values.map((value) => g.reshape(value, [1, ...shape]));
    return parts.length === 1 ? (parts[0] ?? '') : g.emit('Concat', parts, { axis: 0 });
  };
  return [
    g.when(0, () => results.map(({ x }) => x).reduce((a, b) => g.add(a, b))),
    g.when(1, () =>
      joined(
        results.map(({ w }) => w),
        [gates * hidden, width],
      ),
    ),
    g.when(2, () =>
      joined(
        results.map(({ r }) => r),
        [gates * hidden, hidden],
      ),
    ),
    g.when(3, () =>
      joined(
        results.map(({ biases }) => g.emit('Concat', biases, { axis: 0 })),
        [2 * gates * hidden],
      ),
    ),
    undefined,
    g.when(5, () =>
      joined(
        results.map(({ h0 }) => h0),
        state,
      ),
    ),
    g.when(6, () =>
      joined(
        results.map(({ c0, h0 }) => c0 ?? h0),
        state,
      ),
    ),
  ];
}

/** i, o, f, c of Hochreiter and Schmidhuber 1997 as ONNX orders them: c' = f c + i g, h' = o tanh(c'). */
function lstmDirection(g: NodeGradient, d: Direction): DirectionGradient {
  const { steps, batch, hidden } = d;
  const state = [batch, hidden];
  const [i, o, f, n] = split(g, sums(g, d), 4).map((gate, at) =>
    g.emit(at === 3 ? 'Tanh' : 'Sigmoid', [gate]),
  ) as [string, string, string, string];
  const cells = scan(g, [d.c0], [f, g.mul(i, n)], state, false, (b, [c = ''], [keep = '', fresh = '']) => {
    const next = b.emit('Add', [b.mul(c, keep), fresh]);
    return { states: [next], outputs: [next] };
  });
  const c = cells.outputs[0] ?? '';
  const first = g.reshape(d.c0, [1, batch, hidden]);
  const previous = steps === 1 ? first : g.emit('Concat', [first, slice(g, c, 0, 0, steps - 1)], { axis: 0 });
  const t = g.emit('Tanh', [c]);
  // What each gate's sum has to do with dh and dc, for all steps at once.
  const slope = (gate: string) => g.mul(gate, g.sub(1, gate));
  const intoCell = g.mul(o, g.sub(1, g.square(t)));
  const fromOutput = g.mul(t, slope(o));
  const fromCell = g.emit(
    'Concat',
    [g.mul(n, slope(i)), g.mul(previous, slope(f)), g.mul(i, g.sub(1, g.square(n)))],
    { axis: 2 },
  );
  const r = d.r;
  const inputs = [d.dy, intoCell, fromOutput, fromCell, f];
  const back = scan(
    g,
    [d.dh, d.dc],
    inputs,
    state,
    true,
    (b, [dh = '', dc = ''], values) => {
      const [dy = '', into = '', output = '', cell = '', keep = ''] = values;
      const all = b.emit('Add', [dh, dy]);
      const inner = b.emit('Add', [dc, b.mul(all, into)]);
      const three = b.mul(b.emit('Concat', [inner, inner, inner], { axis: 1 }), cell);
      const parts = [b.builder.names.fresh('di'), b.builder.names.fresh('dfg')];
      b.builder.add('Split', [three, b.ints([hidden, 2 * hidden])], parts, { axis: 1 });
      const gates = b.emit('Concat', [parts[0] ?? '', b.mul(all, output), parts[1] ?? ''], { axis: 1 });
      return { states: [b.emit('MatMul', [gates, r]), b.mul(inner, keep)], outputs: [gates] };
    },
    [[batch, 4 * hidden]],
  );
  const gates = back.outputs[0] ?? '';
  return { ...products(g, d, gates, gates), h0: back.states[0] ?? '', c0: back.states[1] ?? '' };
}

/** z, r, h of Cho et al. 2014 as ONNX orders them: h' = (1 - z) n + z h. */
function gruDirection(g: NodeGradient, d: Direction): DirectionGradient {
  const { batch, hidden } = d;
  const after = intAttribute(g.node, 'linear_before_reset', 0) !== 0;
  const [xz, xr, xn] = split(g, matrix(g, d, d.x, d.w, d.width, d.biases?.[0]), 3) as [
    string,
    string,
    string,
  ];
  const [hz, hr, hn] = split(g, matrix(g, d, d.before, d.r, hidden, d.biases?.[1]), 3) as [
    string,
    string,
    string,
  ];
  const z = g.emit('Sigmoid', [g.add(xz, hz)]);
  const reset = g.emit('Sigmoid', [g.add(xr, hr)]);
  const rn = slice(g, d.r, 0, 2 * hidden, 3 * hidden);
  const held = g.mul(reset, d.before);
  const bias = d.biases && slice(g, d.biases[1], 0, 2 * hidden, 3 * hidden);
  const inner = after ? g.mul(reset, hn) : matrix(g, d, held, rn, hidden, bias);
  const n = g.emit('Tanh', [g.add(xn, inner)]);
  const update = g.mul(g.emit('Sub', [d.before, n]), g.mul(z, g.sub(1, z)));
  const fresh = g.mul(g.sub(1, z), g.sub(1, g.square(n)));
  const slope = g.mul(after ? hn : d.before, g.mul(reset, g.sub(1, reset)));
  const rzr = slice(g, d.r, 0, 0, 2 * hidden);
  const inputs = [d.dy, z, update, fresh, slope, reset];
  const back = scan(
    g,
    [d.dh],
    inputs,
    [batch, hidden],
    true,
    (b, [dh = ''], values) => {
      const [dy = '', keep = '', dz = '', dn = '', dr = '', open = ''] = values;
      const all = b.emit('Add', [dh, dy]);
      const [az, an] = [b.mul(all, dz), b.mul(all, dn)];
      const direct = b.mul(all, keep);
      if (after) {
        const ar = b.mul(an, dr);
        const hidden = b.emit('Concat', [az, ar, b.mul(an, open)], { axis: 1 });
        const input = b.emit('Concat', [az, ar, an], { axis: 1 });
        return { states: [b.add(direct, b.emit('MatMul', [hidden, d.r]))], outputs: [input, hidden] };
      }
      const intoHeld = b.emit('MatMul', [an, rn]);
      const two = b.emit('Concat', [az, b.mul(intoHeld, dr)], { axis: 1 });
      const gates = b.emit('Concat', [two, an], { axis: 1 });
      const state = b.add(b.add(direct, b.mul(intoHeld, open)), b.emit('MatMul', [two, rzr]));
      return { states: [state], outputs: [gates, gates] };
    },
    [
      [batch, 3 * hidden],
      [batch, 3 * hidden],
    ],
  );
  const [input = '', state = ''] = back.outputs;
  const all = products(g, d, input, state);
  if (after) return { ...all, h0: back.states[0] ?? '' };
  // Here the candidate saw r * h, not h.
  const rows = [d.steps * batch, hidden];
  const an = g.reshape(slice(g, input, 2, 2 * hidden, 3 * hidden), rows);
  const last = g.gemm(an, true, g.reshape(held, rows), false);
  const r = g.emit('Concat', [slice(g, all.r, 0, 0, 2 * hidden), last], { axis: 0 });
  return { ...all, r, h0: back.states[0] ?? '' };
}

/** What all gates' sums say about x, w, r and the biases: products over all steps at once. */
function products(g: NodeGradient, d: Direction, input: string, state: string) {
  const rows = d.steps * d.batch;
  const flat = (value: string) => g.reshape(value, [rows, -1]);
  const [gates, inner] = [flat(input), input === state ? flat(input) : flat(state)];
  const total = (value: string) => g.emit('MatMul', [g.ones([rows]), value]);
  return {
    x: g.reshape(g.gemm(gates, false, d.w, false), [d.steps, d.batch, d.width]),
    w: g.gemm(gates, true, flat(d.x), false),
    r: g.gemm(inner, true, flat(d.before), false),
    biases: [total(gates), total(inner)] as const,
  };
}

/** The sums that enter the gates, [steps, batch, gates * hidden]. */
function sums(g: NodeGradient, d: Direction): string {
  const bias = d.biases && g.add(d.biases[0], d.biases[1]);
  const rows = d.steps * d.batch;
  const fromInput = g.reshape(matrix(g, d, d.x, d.w, d.width, bias), [rows, -1]);
  const state = g.reshape(d.before, [rows, d.hidden]);
  const sum = g.emit('Gemm', [state, d.r, fromInput], { transB: 1 });
  return g.reshape(sum, [d.steps, d.batch, -1]);
}

/** values [steps, batch, width] times weights' [width, n], plus bias [n]. */
function matrix(
  g: NodeGradient,
  d: Direction,
  values: string,
  weights: string,
  width: number,
  bias?: string,
): string {
  const flat = g.reshape(values, [d.steps * d.batch, width]);
  const inputs = bias === undefined ? [flat, weights] : [flat, weights, bias];
  return g.reshape(g.emit('Gemm', inputs, { transB: 1 }), [d.steps, d.batch, -1]);
}

function split(g: NodeGradient, value: string, parts: number): string[] {
  const names = Array.from({ length: parts }, () => g.builder.names.fresh('Split_out'));
  g.builder.add('Split', [value], names, { axis: 2, num_outputs: parts });
  return names;
}

function slice(g: NodeGradient, value: string, axis: number, from: number, to: number): string {
  return g.emit('Slice', [value, g.ints([from]), g.ints([to]), g.ints([axis])]);
}

type Step = (b: NodeGradient, states: string[], inputs: string[]) => { states: string[]; outputs: string[] };

/** A loop over the first axis of `inputs`, from the last step to the first if `reverse`. States have the shape `state`. */
function scan(
  g: NodeGradient,
  initial: readonly string[],
  inputs: readonly string[],
  state: Shape,
  reverse: boolean,
  step: Step,
  outputShapes: readonly Shape[] = [state],
): { states: string[]; outputs: string[] } {
  const names: Names = g.builder.names;
  const body = new GraphBuilder(names);
  const inner = new NodeGradient(body, g.node, [], g.shapes.known, new Set(), g.shapes.opset);
  const states = initial.map(() => names.fresh('state'));
  const values = inputs.map(() => names.fresh('value'));
  const result = step(inner, states, values);
  const rename = (name: string) => body.node('Identity', [name]);
  const after = result.states.map(rename);
  const outputs = result.outputs.map(rename);
  const graph = body.graph(
    'step',
    [
      ...states.map((name) => valueInfo(name, state)),
      ...values.map((name) => valueInfo(name, [state[0] ?? 0, '?'])),
    ],
    [
      ...after.map((name) => valueInfo(name, state)),
      ...outputs.map((name, at) => valueInfo(name, outputShapes[at] ?? state)),
    ],
  );
  const all = [...after, ...outputs].map(() => names.fresh('Scan_out'));
  const backwards = Number(reverse);
  g.builder.add('Scan', [...initial, ...inputs], all, {
    body: { graph },
    num_scan_inputs: inputs.length,
    scan_input_directions: inputs.map(() => backwards),
    scan_output_directions: outputs.map(() => backwards),
  });
  return { states: all.slice(0, after.length), outputs: all.slice(after.length) };
}

/** Sigmoid and tanh written out, and no clipping: the defaults. */
function isUsual(g: NodeGradient): boolean {
  if (g.node.attribute.some(({ name }) => name === 'clip')) return false;
  const names = g.node.attribute.find(({ name }) => name === 'activations')?.strings ?? [];
  const usual = g.node.opType === 'LSTM' ? ['Sigmoid', 'Tanh', 'Tanh'] : ['Sigmoid', 'Tanh'];
  return names.every((name, at) => new TextDecoder().decode(name) === usual[at % usual.length]);
}
