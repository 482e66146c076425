import { createHash } from 'node:crypto';
import ort from 'onnxruntime-node';
import { compileEvaluation } from '../compile/evaluation.js';
import type { EvaluationOptions, EvaluationPlan, TrainingOptions, TrainingPlan } from '../compile/plan.js';
import { compileTraining } from '../compile/training.js';
import { blockSize } from './blockSize.js';
import { cpuClass } from './hardware.js';
import type { Provider } from './device.js';
import type { Runtime } from './messages.js';
import { residence } from './resident.js';

/** A plan that onnxruntime has loaded. */
export interface Loaded<Plan> {
  readonly plan: Plan;
  readonly session: ort.InferenceSession;
}

/** As many as two jobs need that alternate: full and last batch of the training, and an evaluation. */
const capacity = 8;

/**
 * Compiled sessions, kept for the next request: compiling costs more than a small epoch. All that decides the bits of
 * a result is pinned here: provider, threads, order of execution and level of optimisation.
 */
export class Sessions {
  readonly runtime: Runtime;
  readonly provider: Provider;
  readonly #loaded = new Map<string, Loaded<TrainingPlan | EvaluationPlan>>();

  constructor(threads: number, provider: Provider) {
    this.runtime = {
      onnxruntime: ort.env.versions.node ?? ort.env.versions.common,
      provider,
      cpu: cpuClass(),
      threads,
    };
    this.provider = provider;
  }

  /** @param check called with the plan before it is loaded, and refuses it by throwing */
  async training(
    graph: Uint8Array,
    options: TrainingOptions,
    check: (plan: TrainingPlan) => void,
  ): Promise<Loaded<TrainingPlan>> {
    const block = this.provider === 'cpu' ? await blockSize() : undefined;
    const fitting: TrainingOptions = {
      ...options,
      ...(block === undefined ? {} : { block }),
      // There a Scan would be computed on the CPU, step by step.
      ...(this.provider === 'webgpu' ? { single: true } : {}),
    };
    const place = (plan: TrainingPlan) => residence(this.provider, plan);
    return this.#load(graph, ['training', fitting], () => compileTraining(graph, fitting), check, place);
  }

  evaluation(graph: Uint8Array, options: EvaluationOptions): Promise<Loaded<EvaluationPlan>> {
    const compile = () => compileEvaluation(graph, options);
    return this.#load(
      graph,
      ['evaluation', options],
      compile,
      () => undefined,
      () => ({}),
    );
  }

  async #load<Plan extends TrainingPlan | EvaluationPlan>(
    graph: Uint8Array,
    options: unknown,
    compile: () => Plan,
    check: (plan: Plan) => void,
    extra: (plan: Plan) => ort.InferenceSession.SessionOptions,
  ): Promise<Loaded<Plan>> {
    const key = `${createHash('sha256').update(graph).digest('hex')} ${JSON.stringify(options)}`;
    const known = this.#loaded.get(key) as Loaded<Plan> | undefined;
    const plan = known?.plan ?? compile();
    check(plan);
    const loaded = known ?? (await this.#create(plan, extra(plan)));
    this.#loaded.delete(key);
    this.#loaded.set(key, loaded);
    const [oldest] = this.#loaded;
    if (this.#loaded.size > capacity && oldest) {
      this.#loaded.delete(oldest[0]);
      await oldest[1].session.release();
    }
    return loaded;
  }

  async #create<Plan extends TrainingPlan | EvaluationPlan>(
    plan: Plan,
    extra: ort.InferenceSession.SessionOptions,
  ): Promise<Loaded<Plan>> {
    const session = await ort.InferenceSession.create(plan.model, {
      executionProviders: this.provider === 'cpu' ? ['cpu'] : [this.provider, 'cpu'],
      intraOpNumThreads: this.runtime.threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      graphOptimizationLevel: 'all',
      logSeverityLevel: 3,
      ...extra,
    });
    return { plan, session };
  }
}
