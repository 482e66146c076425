import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { DataContract } from '#core/messages.js';
import { readContract } from './dataFile.js';
import { messageOf } from './failures.js';

/** A data set of the owner: what a coordinator may know of it, and where it lies. */
export interface DataSet {
  contract: DataContract;
  path: string;
}

/**
 * The files data/NAME.safetensors with tensors x (samples first; x/NAME for each of several inputs) and y (labels). Contracts are derived from the
 * files, never written by hand, and again whenever a file changes.
 */
export class DataSets {
  readonly #folder: string;
  readonly #onMistake: (message: string) => void;
  readonly #known = new Map<string, { stamp: string; set: DataSet | null }>();

  /** @param onMistake told once of each file that cannot be served */
  constructor(folder: string, onMistake: (message: string) => void) {
    this.#folder = folder;
    this.#onMistake = onMistake;
  }

  /** What the folder holds now, by name. */
  async list(): Promise<DataSet[]> {
    const names = (await readdir(this.#folder)).filter((name) => name.endsWith('.safetensors')).sort();
    const found = await Promise.all(names.map((name) => this.#read(name)));
    return found.filter((set) => set !== null);
  }

  async find(name: string): Promise<DataSet | null> {
    const sets = await this.list();
    return sets.find(({ contract }) => contract.name === name) ?? null;
  }

  async #read(file: string): Promise<DataSet | null> {
    const path = join(this.#folder, file);
    const { size, mtimeMs } = await stat(path);
    const stamp = `${size} ${mtimeMs}`;
    const known = this.#known.get(path);
    if (known?.stamp === stamp) return known.set;
    let set: DataSet | null = null;
    try {
      set = { contract: await readContract(path, file.slice(0, -'.safetensors'.length)), path };
    } catch (error) {
      this.#onMistake(messageOf(error));
    }
    this.#known.set(path, { stamp, set });
    return set;
  }
}
