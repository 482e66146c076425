/** What an honest payer answers when it is asked on chain about an epoch: the calls that contracts/EpochQuestions.sol takes. */
import type { ChainCall } from '#contracts/typed.js';
import { RoundtableError } from '#core/errors.js';
import { toHex, type Hex } from '#core/hex.js';
import { treeDepth } from '#core/merkle.js';
import { deltaTree } from '#core/rewards.js';
import { chainCalls } from '#services/chainCalls.js';
import { rowAt } from './bisection.js';
import { epochStands, epochSubjectHash, type EpochQuestion, type EpochSubject } from './epochQuestions.js';
import { openEpoch, type Delta, type OpenEpoch } from './openEpoch.js';
import type { AuditSources } from './sources.js';

/** A node in the tree of some deltas, and those of them that are below it. */
interface DeltaNode {
  hash: Hex;
  /** Above the deltas. */
  height: number;
  deltas: Delta[];
  /** The row eight levels below. */
  row: Hex[];
}

/** An answer shows so many levels. */
const LEVELS = 8;

/**
 * @returns null for a question about an epoch that does not stand any more: nobody is convicted for it
 * @throws NOT_FOUND for what cannot be answered
 */
export async function answerEpochQuestion(
  sources: AuditSources,
  question: EpochQuestion,
): Promise<ChainCall | null> {
  const { chain } = sources;
  if (!(await epochStands(chain, question.id))) return null;
  const { payer } = question;
  const onChain = (await chain.epochs(payer)).find(({ epoch }) => epoch === question.epoch);
  const epoch = onChain ? await openEpoch(sources, onChain) : `epoch ${question.epoch} is not on chain`;
  if (typeof epoch === 'string') throw unanswerable(question, epoch);
  return epochAnswerFrom(sources, epoch, question);
}

/** The answer that an epoch holds. @throws NOT_FOUND for a question about what it has not */
export function epochAnswerFrom(
  { chain, hash }: Pick<AuditSources, 'chain' | 'hash'>,
  epoch: OpenEpoch,
  question: EpochQuestion,
): ChainCall {
  const { rewards } = chainCalls(chain.deployment).judges;
  const at = [question.payer, BigInt(question.epoch)] as const;
  const isIt = (subject: EpochSubject) => epochSubjectHash(subject) === question.subject;
  for (const { index } of epoch.leaves)
    if (isIt({ of: 'line', index })) return rewards.answerLine(...at, epoch.line(index));
  for (let height = 1; height <= treeDepth(epoch.leaves.length); height++)
    for (let index = 0; index < Math.ceil(epoch.leaves.length / 2 ** height); index++)
      if (isIt({ of: 'row', height, index })) {
        const { nodes, proof } = row(hash, epoch, height, index);
        return rewards.answerRow(...at, BigInt(height), BigInt(index), nodes, proof);
      }
  for (const leaf of epoch.leaves)
    for (const node of deltaNodes(hash, epoch.deltas(leaf) ?? [])) {
      if (!isIt({ of: 'deltas', node: node.hash })) continue;
      return node.height <= LEVELS
        ? rewards.answerDeltas(...at, node.hash, BigInt(node.height), node.deltas)
        : rewards.answerDeltaNodes(...at, node.hash, BigInt(node.height - LEVELS), node.row);
    }
  throw unanswerable(question, 'no part of the epoch has this name');
}

function row(hash: AuditSources['hash'], { tree }: OpenEpoch, height: number, index: number) {
  const levels = Math.min(LEVELS, height);
  const first = index * 2 ** levels;
  return {
    nodes: rowAt(hash, tree, height - levels).slice(first, first + 2 ** levels),
    proof: tree
      .proof(index * 2 ** height)
      .slice(height)
      .map(toHex),
  };
}

/** Those that can be asked for: the root, and what is a multiple of eight levels below it. */
function* deltaNodes(hash: AuditSources['hash'], deltas: readonly Delta[]): Generator<DeltaNode> {
  if (deltas.length === 0) return;
  const tree = deltaTree(
    hash,
    deltas.map(({ round, ...delta }) => ({ ...delta, round: Number(round) })),
  );
  for (let height = treeDepth(deltas.length); height >= 0; height -= LEVELS) {
    const below = rowAt(hash, tree, Math.max(0, height - LEVELS));
    for (const [i, node] of rowAt(hash, tree, height).entries()) {
      const span = 2 ** height;
      yield {
        hash: node,
        height,
        deltas: deltas.slice(i * span, (i + 1) * span),
        row: below.slice(i * 2 ** LEVELS, (i + 1) * 2 ** LEVELS),
      };
    }
  }
}

function unanswerable({ id, epoch, payer }: EpochQuestion, why: string): RoundtableError {
  return new RoundtableError(
    'NOT_FOUND',
    `Question ${id} about epoch ${epoch} of ${payer} cannot be answered: ${why}.`,
  );
}
