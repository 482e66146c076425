import { trainingOptions } from '../compile/options.js';
import type { TrainingPlan } from '../compile/plan.js';
import { readGraph } from '../graph.js';
import { checkWeights } from '../model.js';
import { checkModelData, classAxis } from '../modelData.js';
import { identityOf, readCheckpoint, removeCheckpoint, writeCheckpoint } from './checkpoint.js';
import { nextControl, readCorrections } from './control.js';
import { columnsOf, readBytes, readDataset, readWeights, shapeOf, writeWeights } from './files.js';
import { openMeter, type Meter } from './energy.js';
import { Limits } from './limits.js';
import type { TrainProgress, TrainRequest, TrainResult } from './messages.js';
import { peakMemory } from './peakMemory.js';
import { permutation } from './permutation.js';
import type { Loaded, Sessions } from './sessions.js';
import { checkRequest } from './request.js';
import { readStatistics } from './statistics.js';
import { Steps } from './steps.js';

/** A checkpoint is due after so many seconds, or after twenty times what the last one took to write. */
const checkpointSeconds = 2;

/**
 * Trains and writes the weights. The result depends on the request and on the class of machine only: how the steps
 * are cut into runs, and whether it was killed and went on from a checkpoint, does not change a bit.
 * @throws the errors of readModel, NOT_FOUND, FORMAT_INVALID, INVALID_INPUT, DISK_FULL, TRAINING_NOT_FINITE,
 * TRAINING_DIVERGED, TRAINING_MEMORY, TRAINING_TIME
 */
export async function train(
  sessions: Sessions,
  request: TrainRequest,
  onProgress: (progress: TrainProgress) => void,
): Promise<TrainResult> {
  const meter = openMeter(sessions.provider);
  try {
    return await trainMeasured(sessions, request, onProgress, meter);
  } finally {
    meter?.close();
  }
}

async function trainMeasured(
  sessions: Sessions,
  request: TrainRequest,
  onProgress: (progress: TrainProgress) => void,
  meter: Meter | undefined,
): Promise<TrainResult> {
  const started = performance.now();
  checkRequest(request);
  const limits = new Limits(request);
  const [graph, weights, data] = await Promise.all([
    readBytes(request.graph),
    readWeights(request.weights),
    readDataset(request.data, request),
  ]);
  const model = readGraph(graph);
  checkWeights(model, weights);
  checkModelData(model, shapeOf(data), request.loss);
  const columns = columnsOf(data, model.inputs);
  const corrections = await readCorrections(request, model);
  const statistics = await readStatistics(request, model);

  const { batch, epochs } = request;
  const axis = classAxis(model, request.loss, data.labels);
  const optionsFor = (size: number) =>
    trainingOptions(request, size, {
      inputs: columns.map(({ type }) => type),
      ...(axis === undefined ? {} : { classAxis: axis }),
      ...(request.control ? { corrected: true } : {}),
      ...(request.statistics ? { batchNorm: 'local' } : {}),
    });
  const rest = data.samples % batch;
  const sizes = [...(data.samples >= batch ? [batch] : []), ...(rest > 0 ? [rest] : [])];
  const bytes = columns.reduce((sum, { values }) => sum + values.byteLength, data.y.byteLength);
  const loaded: Loaded<TrainingPlan>[] = [];
  let planned = 0;
  for (const size of sizes)
    loaded.push(
      await sessions.training(graph, optionsFor(size), (plan) => {
        planned = Math.max(planned, limits.plan(plan.peakBytes + bytes));
      }),
    );

  const perEpoch = Math.ceil(data.samples / batch);
  const steps = epochs * perEpoch;
  const identity = await identify(request, sessions);
  const kept = request.checkpoint ? await readCheckpoint(request.checkpoint, identity) : undefined;
  const run = new Steps({
    data,
    columns,
    weights,
    corrections,
    statistics,
    request,
    perEpoch,
    steps,
    kept,
    meter,
    provider: sessions.provider,
    onProgress,
  });
  let [written, cost] = [performance.now(), 0];
  const afterRun = async () => {
    limits.check(run.step, steps);
    const path = request.checkpoint;
    const due = (performance.now() - written) / 1000 > Math.max(checkpointSeconds, 20 * cost);
    if (path === undefined || !due || run.step === steps) return;
    const began = performance.now();
    await run.settle();
    await writeCheckpoint(path, identity, run.progress());
    written = performance.now();
    cost = (written - began) / 1000;
  };
  for (let epoch = Math.floor(run.step / perEpoch); epoch < epochs; epoch++) {
    const order = permutation(request.seed, epoch, data.samples);
    let from = 0;
    for (const [index, size] of sizes.entries()) {
      const count = size === batch ? Math.floor(data.samples / batch) : 1;
      const done = Math.min(count, run.step - epoch * perEpoch - from);
      const session = loaded[index];
      if (session)
        await run.take(
          session,
          size,
          order.subarray((from + done) * batch, from * batch + count * size),
          afterRun,
        );
      from += count;
    }
    if (epoch < epochs - 1) run.startEpoch();
  }
  await run.settle();
  const trained = run.finish();
  if (request.control) await nextControl(request, weights, trained, steps);
  if (request.statistics) await writeWeights(request.statistics.out, run.statistics());
  await writeWeights(request.out, trained);
  if (request.checkpoint) await removeCheckpoint(request.checkpoint);
  return {
    samples: data.samples,
    steps,
    loss: run.epochLoss / data.samples,
    seconds: (performance.now() - started) / 1000,
    memory: { planned, peak: peakMemory() },
    ...(meter ? { energy: meter.read() } : {}),
    runtime: sessions.runtime,
  };
}

/** Files are hashed only where something depends on it. */
async function identify(request: TrainRequest, sessions: Sessions): Promise<string> {
  if (request.checkpoint === undefined) return '';
  const paths = [
    request.graph,
    request.weights,
    request.data,
    ...(request.control ? [request.control.server, request.control.own] : []),
    ...(request.statistics?.before === undefined ? [] : [request.statistics.before]),
  ];
  return identityOf(request, await Promise.all(paths.map(readBytes)), sessions.runtime);
}
