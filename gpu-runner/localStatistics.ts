import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TrainTask } from '#core/messages.js';
import { sha256Hex } from '#services/sha256.js';

/** Files of a lineage that stay: that of the last round, and those it might be trained again from. */
const KEPT = 3;

/**
 * statistics/LINEAGE/NUMBER-JOB-ROUND.safetensors: the running statistics of BatchNorm that this runner keeps for itself
 * (`batchNorm: local`), as each round left them. They never leave the machine. A lineage is a name of jobs at a
 * coordinator with one graph: the next job of that name goes on with them.
 */
export class LocalStatistics {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The file to start a round from: the one before the round's own, so that a round trained again gives the same. */
  async before(task: TrainTask): Promise<string | undefined> {
    const folder = this.#path(task);
    const names = await list(folder);
    const own = names.findIndex((name) => name.endsWith(suffixOf(task)));
    const before = names[(own < 0 ? names.length : own) - 1];
    return before === undefined ? undefined : join(folder, before);
  }

  /** Moves the file that a round's training wrote to its place. */
  async keep(task: TrainTask, path: string): Promise<void> {
    const folder = this.#path(task);
    await mkdir(folder, { recursive: true });
    const own = suffixOf(task);
    const before = await list(folder);
    const next = 1 + Number(before.at(-1)?.split('-')[0] ?? 0);
    const name = before.find((other) => other.endsWith(own)) ?? `${String(next).padStart(10, '0')}${own}`;
    await rename(path, join(folder, name));
    for (const old of (await list(folder)).slice(0, -KEPT)) await rm(join(folder, old), { force: true });
  }

  #path({ coordinator, spec, model }: TrainTask): string {
    const lineage = new TextEncoder().encode(`${coordinator} ${spec.name} ${model.graph}`);
    return join(this.#folder, sha256Hex(lineage).slice(2, 34));
  }
}

function suffixOf({ opening: { job, round } }: TrainTask): string {
  return `-${job.slice(2)}-${round}.safetensors`;
}

async function list(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.safetensors')).sort();
}
