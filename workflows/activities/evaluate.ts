import type { JobSpec } from '#core/jobSpec.js';
import type { ModelRef } from '#core/messages.js';
import type { Evaluation, PreparedJob } from '../types.js';
import type { Dependencies } from './dependencies.js';
import { artifactFile, weightsFile } from './versions.js';

/** Samples a run; large enough to keep the cores busy, small enough for any model that can be trained. */
const batch = 500;
/** Less than the activity around it has (proxies.workflow.ts), so that the next one does not wait for this one's child. */
const longestSeconds = 540;

/** Of a round. The held-out data of a job that was taken over may be nowhere but at its first coordinator's. */
export async function evaluateRound(
  deps: Dependencies,
  { spec, takenOver }: PreparedJob,
  version: ModelRef,
): Promise<Evaluation> {
  if (takenOver && spec.evaluation && !(await deps.artifacts.has(spec.evaluation.sha256)))
    return { accuracy: null, loss: null };
  return evaluateVersion(deps, spec, version);
}

/** Accuracy and loss of a version on the job's held-out data; nulls when it names none. */
export async function evaluateVersion(
  deps: Dependencies,
  spec: JobSpec,
  version: ModelRef,
): Promise<Evaluation> {
  if (!spec.evaluation) return { accuracy: null, loss: null };
  const [graph, weights, data] = await Promise.all([
    artifactFile(deps, version.graph),
    weightsFile(deps, version),
    artifactFile(deps, spec.evaluation.sha256),
  ]);
  const { loss, ignoredLabel, batchNorm } = spec.training;
  const result = await deps.evaluator.evaluate(
    {
      graph,
      weights,
      data,
      batch,
      loss,
      ...(ignoredLabel === undefined ? {} : { ignoredLabel }),
      // The graph's own statistics are those before anybody trained, and the runners' stay with them.
      ...(batchNorm === 'local' ? { batchNorm } : {}),
    },
    { seconds: longestSeconds },
  );
  return { accuracy: result.accuracy, loss: result.loss };
}
