/** Recomputes a round's sum from the updates, when they are at hand (PROTOCOL sections 3 and 5). */
import { toHex, type Hex } from '#core/hex.js';
import type { ManifestHeader, RoundManifest } from '#core/manifest.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import { nameOf } from '#core/robustNames.js';
import { roundTree } from '#core/robustTree.js';
import type { NodeSum } from '#core/sumTree.js';
import { decodeUpdateFile } from '#core/updateFile.js';
import { same, Wrong, type Checklist } from './checklist.js';
import type { AuditChain, AuditSources } from './sources.js';
import { compareStep } from './step.js';
import type { OpenedModel } from './version.js';

type Round = RoundManifest['hashed'];

/**
 * @param models to say which parameter a wrong sum shows in
 * @returns null when updates are missing; then the list says on whose word the sum stands
 */
export async function checkSum(
  list: Checklist,
  sources: AuditSources<AuditChain>,
  subject: string,
  round: Round,
  models: { base: OpenedModel; next: OpenedModel },
): Promise<NodeSum | null> {
  try {
    return await list.check(subject, 'sum', 'recomputed from all updates, to the bit', async (say) => {
      const total = await new Summation(sources, round, models).total();
      say(`${total.count} updates`);
      return total;
    });
  } catch (error) {
    if (!(error instanceof NotAtHand)) throw error;
    const why = `${error.message}; it stands on the word of coordinator ${round.coordinator}`;
    list.unchecked(subject, 'sum', 'not recomputed', why);
    return null;
  }
}

/** Says nothing of the data: an update was not to be had. */
class NotAtHand extends Error {}

/** Computes node by node what the round's rule gives, comparing each with its committed root. */
class Summation {
  constructor(
    private readonly sources: AuditSources<AuditChain>,
    private readonly round: Round,
    private readonly models: { base: OpenedModel; next: OpenedModel },
  ) {}

  total(): Promise<NodeSum> {
    const { headers, spec } = this.round;
    return roundTree(spec.aggregation.robust, {
      dimension: headers[0]?.dimension ?? 0,
      weights: headers.map(({ weight }) => weight),
      read: async (index) => {
        const header = headers[index];
        if (!header) throw new TypeError(`there is no header ${index}`);
        return this.#update(header);
      },
      onNode: (level, index, sum) => this.#compare(level, index, sum),
    });
  }

  #compare(level: number, index: number, sum: NodeSum): void {
    const root = toHex(valuesRoot(this.sources.hash, LEAF.sum, sum.values));
    const committed = this.round.sumRoots[level]?.[index];
    if (root !== committed) this.#fail(`node ${index} of level ${level}`, committed, root, sum);
  }

  /** An update as its runner signed it. @throws NotAtHand, Wrong, FORMAT_INVALID */
  async #update({ runner, updateRoot, dimension }: ManifestHeader): Promise<Int32Array> {
    const { job, round } = this.round.opening;
    const { updateSource } = this.sources;
    if (!updateSource) throw new NotAtHand('no updates are at hand');
    const file = await updateSource({ job, round, runner, updateRoot });
    if (!file) throw new NotAtHand(`the update of runner ${runner} is not at hand`);
    const { header, delta } = decoded(file, runner);
    const who = `the update of runner ${runner}`;
    same(`the job of ${who}`, header.job, job, { runner });
    same(`the round of ${who}`, header.round, round, { runner });
    same(`the runner of ${who}`, header.runner, runner, { runner });
    same(`the dimension of ${who}`, delta.length, dimension, { runner });
    const root = toHex(valuesRoot(this.sources.hash, LEAF.update, delta));
    if (root !== updateRoot)
      throw new Wrong(`${who} has the root ${root}, and ${updateRoot} was signed`, { runner });
    return delta;
  }

  /** The root alone does not say which value is wrong; where the parameters follow the wrong sum, they do. */
  #fail(node: string, committed: Hex | undefined, root: Hex, sum: NodeSum): never {
    const { robust } = this.round.spec.aggregation;
    const message = `the ${robust ? nameOf(robust) : 'sum'} of ${node} is committed to as ${committed ?? 'nothing'}, and the updates give ${root}`;
    const { base, next } = this.models;
    if (base && next && sum.count === this.round.headers.length)
      try {
        compareStep(this.round, base, next, sum);
      } catch (error) {
        if (error instanceof Wrong) throw new Wrong(`${message}; ${error.message}`, error.place);
      }
    throw new Wrong(message);
  }
}

function decoded(file: Uint8Array, runner: Hex): ReturnType<typeof decodeUpdateFile> {
  try {
    return decodeUpdateFile(file);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Wrong(`the update of runner ${runner} cannot be read: ${reason}`, { runner });
  }
}
