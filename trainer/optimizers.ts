import type { GraphBuilder } from './onnx/builder.js';

export interface Sgd {
  readonly name: 'sgd';
  /** Learning rate. */
  readonly lr: number;
  readonly momentum?: number;
  /** Nesterov's form of the momentum. */
  readonly nesterov?: boolean;
  /** L2: so much of each weight is added to its gradient. */
  readonly weightDecay?: number;
}

export interface Adam {
  /** Kingma and Ba 2015; adamw decays the weights themselves (Loshchilov and Hutter 2019). */
  readonly name: 'adam' | 'adamw';
  readonly lr: number;
  readonly betas?: readonly [number, number];
  readonly eps?: number;
  readonly weightDecay?: number;
}

export type Optimizer = Sgd | Adam;

/** The learning rate rises from 0 over the first `warmup` steps; then it stays, or falls to 0 along a cosine (Loshchilov and Hutter 2017). */
export interface Schedule {
  readonly name: 'constant' | 'cosine';
  readonly warmup?: number;
}

/** Factor of the learning rate at a step, counted from 1. */
export function scheduleFactor({ name, warmup = 0 }: Schedule, step: number, total: number): number {
  if (step <= warmup) return step / (warmup + 1);
  if (name === 'constant') return 1;
  return 0.5 * (1 + Math.cos((Math.PI * (step - warmup - 1)) / Math.max(1, total - warmup)));
}

/** How an optimiser turns gradients into steps. The definitions, and the defaults, are those of torch.optim. */
export interface UpdateRule {
  /** Tensors kept for each weight, in its shape, zeros at first. */
  readonly slots: number;
  /** Numbers that change from step to step; `step` counts from 1, `factor` is the schedule's. Fed as `rates`. */
  rates(step: number, factor: number): number[];
  /** @returns the next weight and the next slots */
  update(
    body: GraphBuilder,
    weight: string,
    gradient: string,
    slots: readonly string[],
    rates: readonly string[],
    decays: boolean,
  ): { weight: string; slots: string[] };
}

export function updateRule(optimizer: Optimizer): UpdateRule {
  return optimizer.name === 'sgd' ? momentumRule(optimizer) : adamRule(optimizer);
}

/** Whether each step is lr times the gradient and nothing else: then it is fused into the backward pass (sgdStep). */
export function isPlain(optimizer: Optimizer): optimizer is Sgd {
  return optimizer.name === 'sgd' && !optimizer.momentum && !optimizer.weightDecay;
}

function momentumRule({ lr, momentum = 0, nesterov = false, weightDecay = 0 }: Sgd): UpdateRule {
  return {
    slots: momentum > 0 ? 1 : 0,
    rates: (_, factor) => [-lr * factor],
    update(body, weight, gradient, [velocity], [rate = ''], decays) {
      const times = (value: string, by: number) => body.node('Mul', [value, body.floats([], [by])]);
      const pulled =
        decays && weightDecay > 0 ? body.node('Add', [gradient, times(weight, weightDecay)]) : gradient;
      const next = velocity === undefined ? pulled : body.node('Add', [times(velocity, momentum), pulled]);
      const step =
        velocity !== undefined && nesterov ? body.node('Add', [pulled, times(next, momentum)]) : next;
      const moved = body.node('Add', [weight, body.node('Mul', [step, rate])]);
      return { weight: moved, slots: velocity === undefined ? [] : [next] };
    },
  };
}

function adamRule({ name, lr, betas = [0.9, 0.999], eps = 1e-8, weightDecay }: Adam): UpdateRule {
  const decay = weightDecay ?? (name === 'adamw' ? 0.01 : 0);
  const [first, second] = betas;
  return {
    slots: 2,
    // The corrections of the first steps' bias are computed here, in float64.
    rates: (step, factor) => [
      (-lr * factor) / (1 - first ** step),
      1 / Math.sqrt(1 - second ** step),
      1 - lr * factor * decay,
    ],
    update(body, weight, gradient, [m = '', v = ''], [rate = '', correction = '', kept = ''], decays) {
      const times = (value: string, by: number) => body.node('Mul', [value, body.floats([], [by])]);
      const pulled =
        name === 'adam' && decays && decay > 0
          ? body.node('Add', [gradient, times(weight, decay)])
          : gradient;
      const mean = body.node('Add', [times(m, first), times(pulled, 1 - first)]);
      const square = body.node('Add', [
        times(v, second),
        times(body.node('Mul', [pulled, pulled]), 1 - second),
      ]);
      const root = body.node('Mul', [body.node('Sqrt', [square]), correction]);
      const direction = body.node('Div', [mean, body.node('Add', [root, body.floats([], [eps])])]);
      const shrunk = name === 'adamw' && decays && decay > 0 ? body.node('Mul', [weight, kept]) : weight;
      return {
        weight: body.node('Add', [shrunk, body.node('Mul', [direction, rate])]),
        slots: [mean, square],
      };
    },
  };
}

/**
 * Stochastic gradient descent, w' = w - lr * (gradient + mu * (w - w_start)). The factor -lr is seeded into the backward
 * pass (`gradientScale`), so what arrives as "gradient" is the step itself and is added, inside the matrix product
 * that makes it where there is one. The last term is FedProx's (Li et al. 2020, equation 2); SCAFFOLD's correction joins it.
 */
export function sgdStep(outer: GraphBuilder, body: GraphBuilder, options: { optimizer: Sgd; prox?: number }) {
  const { lr } = options.optimizer;
  const pull = lr * (options.prox ?? 0);
  const times = (value: string, by: number) => outer.node('Mul', [value, outer.floats([], [by])]);
  return {
    gradientScale: -lr,
    /** What a step is added to: the weight, drawn towards `anchor` and corrected; both are values outside of the loop. */
    base({ name, anchor, correction }: { name: string; anchor?: string; correction?: string }): string {
      const kept = anchor === undefined ? name : body.node('Mul', [name, body.floats([], [1 - pull])]);
      const moves = [
        ...(anchor === undefined ? [] : [times(anchor, pull)]),
        ...(correction === undefined ? [] : [times(correction, -lr)]),
      ];
      return moves.reduce((sum, move) => body.node('Add', [sum, move]), kept);
    },
    /** The next value of a weight; without a gradient (nothing flows back to it) only the pull remains. */
    update(base: string, step: string | undefined): string {
      if (step === undefined) return body.node('Identity', [base]);
      // Sum, not Add: onnxruntime would fuse an Add into the product of ones that makes a bias's gradient, and that kernel
      // adds every few rows to the large weight, which costs half of the digits of the step.
      return addToProduct(body, base, step) ?? body.node('Sum', [base, step]);
    },
  };
}

/** Scales all gradients together so that their common norm is at most `most` (Pascanu et al. 2013), as torch's clip_grad_norm_. */
export function clipByNorm(
  body: GraphBuilder,
  gradients: ReadonlyMap<string, string>,
  most: number,
): Map<string, string> {
  const squares = [...gradients.values()].map((gradient) =>
    body.node('ReduceSumSquare', [gradient], { keepdims: 0 }),
  );
  if (squares.length === 0) return new Map(gradients);
  const norm = body.node('Sqrt', [body.node('Sum', squares)]);
  const ratio = body.node('Div', [
    body.floats([], [most]),
    body.node('Add', [norm, body.floats([], [1e-6])]),
  ]);
  const scale = body.node('Min', [ratio, body.floats([], [1])]);
  return new Map([...gradients].map(([name, gradient]) => [name, body.node('Mul', [gradient, scale])]));
}

/** base + A B as one Gemm, if `step` is a matrix product that nothing else uses. */
function addToProduct(body: GraphBuilder, base: string, step: string): string | undefined {
  const gemm = body.nodes.find((node) => node.output[0] === step);
  const shared = body.nodes.some((node) => node.input.includes(step));
  if (gemm?.opType !== 'Gemm' || gemm.input.length > 2 || shared) return undefined;
  gemm.input.push(base);
  return step;
}
