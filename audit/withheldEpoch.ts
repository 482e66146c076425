/**
 * An epoch whose manifest nobody has, or whose manifest does not lead to its root: its lines and what they were earned
 * for are asked for, and put together from the answers. What is not answered revokes it.
 */
import { fromHex, toHex, type Hash, type Hex } from '#core/hex.js';
import { NODE, zeroHashes } from '#core/merkle.js';
import { lowerCase } from '#services/chain/lowerCase.js';
import type { ChainEpoch } from '#services/chain.js';
import type { Accusation, Judges } from './accusation.js';
import {
  epochName,
  epochQuestionId,
  epochQuestions,
  type EpochName,
  type EpochQuestion,
  type EpochSubject,
} from './epochQuestions.js';
import { OpenEpoch, type Delta, type PaidRound } from './openEpoch.js';
import type { AuditSources } from './sources.js';

/** Questions asked at once: each costs a bond, and answers may end them all. */
const mostAtOnce = 16;

/** The epoch as far as it was shown; or what is to be asked for it. */
export async function gatherEpoch(
  sources: AuditSources,
  judges: Judges['rewards'],
  onChain: ChainEpoch,
): Promise<OpenEpoch | Accusation[]> {
  const { chain } = sources;
  const name = await epochName(chain, onChain);
  const asked = await epochQuestions(chain, { payer: onChain.payer, from: onChain.block });
  const byId = new Map(asked.map((question) => [question.id, question]));
  return new Shown(sources, judges, name, byId).gathered(onChain.leaves);
}

class Shown {
  readonly #missing: Accusation[] = [];

  constructor(
    private readonly sources: AuditSources,
    private readonly judges: Judges['rewards'],
    private readonly name: EpochName,
    private readonly asked: ReadonlyMap<Hex, EpochQuestion>,
  ) {}

  gathered(leaves: number): OpenEpoch | Accusation[] {
    const rounds = new Map<string, PaidRound>();
    const shown = new Map<Hex, Delta[]>();
    const at = this.#at();
    const lines: Line[] = [];
    for (let index = 0; index < leaves && this.#missing.length < mostAtOnce; index++) {
      const line = this.#answer({ of: 'line', index }, () => this.judges.askLine(...at, BigInt(index)));
      if (line) lines.push(lineOf(line['line']));
    }
    for (const line of this.#missing.length > 0 ? [] : lines) {
      const { account, deltaRoot } = line.leaf;
      const deltas = BigInt(deltaRoot) === 0n ? [] : this.#deltasUnder(line, deltaRoot, 0, []);
      shown.set(account, deltas);
      for (const { job, round, amount } of deltas) {
        const paid = rounds.get(`${job}/${round}`) ?? { job, round: Number(round), shares: [] };
        rounds.set(`${job}/${round}`, {
          ...paid,
          shares: [...paid.shares, { runner: account, amount: String(amount) }],
        });
      }
    }
    if (this.#missing.length > 0) return this.#missing.slice(0, mostAtOnce);
    const leavesShown = lines.map(({ leaf }, index) => ({
      ...leaf,
      index,
      deltaRoot: fromHex(leaf.deltaRoot, 32),
    }));
    return new OpenEpoch(this.sources.hash, leavesShown, [...rounds.values()], shown);
  }

  /** @param proof siblings from the node upwards */
  #deltasUnder(line: Line, node: Hex, index: number, proof: Hex[]): Delta[] {
    const ask = () => this.judges.askDeltas(...this.#at(), line, { hash: node, index: BigInt(index), proof });
    const args = this.#answer({ of: 'deltas', node }, ask);
    if (!args) return [];
    const deltas = args['deltas'] as Delta[] | undefined;
    if (deltas) return [...deltas].map(({ job, round, amount }) => ({ job, round, amount }));
    const nodes = [...(args['nodes'] as Hex[])];
    return nodes.flatMap((below, i) =>
      this.#deltasUnder(line, below, index * 256 + i, [
        ...siblings(this.sources.hash, nodes, Number(args['height']), i),
        ...proof,
      ]),
    );
  }

  #at() {
    return [this.name.payer, BigInt(this.name.epoch)] as const;
  }

  #answer(subject: EpochSubject, ask: () => Accusation['call']): Record<string, unknown> | null {
    const question = epochQuestionId(this.name, subject);
    const answer = this.asked.get(question)?.answer;
    if (answer) return answer.args;
    const what = 'its manifest is not to be had, or does not lead to its root';
    this.#missing.push({ what, kind: 'question', call: ask(), question });
    return null;
  }
}

interface Line {
  leaf: {
    index: bigint;
    account: Hex;
    cumulative: bigint;
    previous: bigint;
    totalPrefix: bigint;
    deltaRoot: Hex;
  };
  proof: Hex[];
}

/** As plain values: what was parsed cannot be encoded again. */
function lineOf(args: unknown): Line {
  const { leaf, proof } = args as Line;
  const { index, account, cumulative, previous, totalPrefix, deltaRoot } = leaf;
  return {
    leaf: { index, account: lowerCase(account), cumulative, previous, totalPrefix, deltaRoot },
    proof: [...proof],
  };
}

/** Of one node of a row, up to the node eight levels above it. @param height of the row above the deltas */
function siblings(hash: Hash, nodes: readonly Hex[], height: number, index: number): Hex[] {
  const zeros = zeroHashes(hash, height + 8).map(toHex);
  let row = [...nodes];
  return Array.from({ length: 8 }, (_, level) => {
    const missing = zeros[height + level] ?? '0x';
    const sibling = row[(index >> level) ^ 1] ?? missing;
    row = Array.from({ length: Math.ceil(row.length / 2) }, (_, i) => {
      const children = [row[2 * i] ?? missing, row[2 * i + 1] ?? missing];
      return toHex(hash(Uint8Array.from([NODE, ...children.flatMap((child) => [...fromHex(child, 32)])])));
    });
    return sibling;
  });
}
