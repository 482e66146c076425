import type { GraphBuilder } from './onnx/builder.js';

export interface Optimizer {
  readonly name: 'sgd';
  /** Learning rate. */
  readonly lr: number;
}

/**
 * Stochastic gradient descent, w' = w - lr * (gradient + mu * (w - w_start)). The factor -lr is seeded into the backward
 * pass (`gradientScale`), so what arrives as "gradient" is the step itself and is added, inside the matrix product
 * that makes it where there is one. The last term is FedProx's (Li et al. 2020, equation 2).
 */
export function sgdStep(
  outer: GraphBuilder,
  body: GraphBuilder,
  options: { optimizer: Optimizer; prox?: number },
) {
  const { lr } = options.optimizer;
  const pull = lr * (options.prox ?? 0);
  return {
    gradientScale: -lr,
    /** What a step is added to: the weight, drawn towards `anchor`, a value outside of the loop. */
    base(weight: string, anchor: string | undefined): string {
      if (anchor === undefined) return weight;
      const drawn = outer.node('Mul', [anchor, outer.floats([], [pull])]);
      return body.node('Add', [body.node('Mul', [weight, body.floats([], [1 - pull])]), drawn]);
    },
    /** The next value of a weight; without a gradient (nothing flows back to it) only the pull remains. */
    update(base: string, step: string | undefined): string {
      if (step === undefined) return body.node('Identity', [base]);
      return addToProduct(body, base, step) ?? body.node('Add', [base, step]);
    },
  };
}

/** base + A B as one Gemm, if `step` is a matrix product that nothing else uses. */
function addToProduct(body: GraphBuilder, base: string, step: string): string | undefined {
  const gemm = body.nodes.find((node) => node.output[0] === step);
  const shared = body.nodes.some((node) => node.input.includes(step));
  if (gemm?.opType !== 'Gemm' || gemm.input.length > 2 || shared) return undefined;
  gemm.input.push(base);
  return step;
}
