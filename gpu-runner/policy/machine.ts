import { execFile } from 'node:child_process';
import { cpus } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { z } from 'zod';
import { refuse } from '../refusal.js';

/** Only while others leave the machine idle. */
export const idleSchema = z.strictObject({
  cpuBelow: z
    .number()
    .min(1)
    .max(100)
    .optional()
    .describe('Percent of all processor cores that other work may use when a task begins.'),
  gpuBelow: z
    .number()
    .min(1)
    .max(100)
    .optional()
    .describe('Percent that each NVIDIA GPU may be in use when a task begins; needs nvidia-smi.'),
});

export const powerSchema = z.strictObject({
  watts: z
    .number()
    .min(1)
    .max(2_000)
    .describe('What each NVIDIA GPU may draw; set with nvidia-smi, which wants administrator rights.'),
});

/** What an owner asks of the machine before a task begins. */
export interface MachineRules {
  idle?: z.output<typeof idleSchema> | undefined;
  power?: z.output<typeof powerSchema> | undefined;
}

/**
 * Measures the machine and caps its power, as far as the owner asks for it. To be called while this runner itself
 * does not train.
 * @throws a refusal, MACHINE_BUSY or LIMIT_UNSUPPORTED
 */
export async function checkMachine({ idle, power }: MachineRules, signal: AbortSignal): Promise<void> {
  if (idle?.cpuBelow !== undefined) {
    const busy = await processorUse(signal);
    if (busy >= idle.cpuBelow)
      refuse(
        'MACHINE_BUSY',
        `Other work uses ${busy.toFixed(0)}% of the processor; its owner wants less than ${idle.cpuBelow}%.`,
      );
  }
  if (idle?.gpuBelow === undefined && power === undefined) return;
  const gpus = await readGpus(signal);
  const wanted = idle?.gpuBelow === undefined ? 'power.watts' : 'idle.gpuBelow';
  if (gpus === null)
    refuse('LIMIT_UNSUPPORTED', `policy.yaml asks for ${wanted}, but nvidia-smi does not answer here.`);
  for (const { index, use } of gpus)
    if (idle?.gpuBelow !== undefined && !(use < idle.gpuBelow))
      refuse('MACHINE_BUSY', `GPU ${index} is ${use}% in use; its owner wants less than ${idle.gpuBelow}%.`);
  if (power !== undefined)
    for (const { index, watts } of gpus)
      if (!(watts <= power.watts)) await capPower(index, power.watts, signal);
}

/** A GPU as nvidia-smi sees it: percent in use, watts it may draw (NaN where the card does not say). */
export interface Gpu {
  index: number;
  use: number;
  watts: number;
}

/** null: there is no nvidia-smi, or it finds no GPU. */
export async function readGpus(signal: AbortSignal): Promise<Gpu[] | null> {
  try {
    const query = ['--query-gpu=index,utilization.gpu,power.limit', '--format=csv,noheader,nounits'];
    const { stdout } = await run('nvidia-smi', query, { signal, timeout: 10_000, env: process.env });
    const gpus = stdout
      .trim()
      .split('\n')
      .map((line) => line.split(',').map((cell) => Number.parseFloat(cell)))
      .map(([index = NaN, use = NaN, watts = NaN]) => ({ index, use, watts }));
    return gpus.every(({ index }) => Number.isInteger(index)) ? gpus : null;
  } catch {
    signal.throwIfAborted();
    return null;
  }
}

/** Percent of all cores in use over half a second. */
export async function processorUse(signal: AbortSignal): Promise<number> {
  const before = processorTimes();
  await delay(500, undefined, { signal });
  const after = processorTimes();
  const all = after.all - before.all;
  return all <= 0 ? 0 : (100 * (after.busy - before.busy)) / all;
}

const run = promisify(execFile);

async function capPower(gpu: number, watts: number, signal: AbortSignal): Promise<void> {
  try {
    await run('nvidia-smi', ['-i', String(gpu), '-pl', String(watts)], {
      signal,
      timeout: 10_000,
      env: process.env,
    });
  } catch {
    signal.throwIfAborted();
    refuse(
      'LIMIT_UNSUPPORTED',
      `policy.yaml caps GPU ${gpu} at ${watts} W, but the runner may not set that. Let an administrator run: nvidia-smi -i ${gpu} -pl ${watts}`,
    );
  }
}

function processorTimes(): { all: number; busy: number } {
  let all = 0;
  let idle = 0;
  for (const { times } of cpus()) {
    all += times.user + times.nice + times.sys + times.idle + times.irq;
    idle += times.idle;
  }
  return { all, busy: all - idle };
}
