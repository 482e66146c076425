/** Finds the chunk in which a committed vector differs from the true one, when only its root is known. */
import type { ChainCall } from '#contracts/typed.js';
import { toHex, type Hash, type Hex } from '#core/hex.js';
import { LEAF, treeDepth, valuesTree, zeroHashes, type LeafValues, type MerkleTree } from '#core/merkle.js';
import { answerTo, type Known } from './accusation.js';
import type { NodeName } from './evidence.js';
import { innerTrees, type InnerTree, type Subject } from './questions.js';

/** A question answers with the nodes so many levels below (contracts/DataJudge.sol). */
const LEVELS = 8;

/**
 * The next question about a vector that has another root than the true one: for inner nodes, as long as the answers so
 * far leave more than one chunk, then for the chunk itself, which nobody can answer.
 * @param node whose sum it is; of the new parameters, the root
 */
export function nextQuestion(
  known: Pick<Known, 'questions' | 'name' | 'evidence' | 'judges'> & { sources: { hash: Hash } },
  tree: InnerTree,
  node: NodeName,
  truth: LeafValues,
): { subject: Subject; call: ChainCall } {
  const { evidence, judges, sources } = known;
  const place = evidence.place(node);
  const turns = place.turns.map(Number);
  const values = valuesTree(sources.hash, tree === 'sum' ? LEAF.sum : LEAF.params, truth);
  let height = treeDepth(values.count);
  let index = 0;
  while (height > 0) {
    const subject: Subject = { of: 'nodes', turns, tree, height, index };
    const nodes = answeredNodes(known, subject);
    if (!nodes) {
      const inner = { tree: BigInt(innerTrees[tree]), height: BigInt(height), index: BigInt(index) };
      return { subject, call: judges.data.askNodes(place, inner) };
    }
    const levels = Math.min(LEVELS, height);
    height -= levels;
    const row = rowAt(sources.hash, values, height);
    const first = index * 2 ** levels;
    const differs = nodes.findIndex((found, i) => found !== row[first + i]);
    // An answer leads to the committed root, which is not the true one: it must differ somewhere.
    index = first + Math.max(0, differs);
  }
  return tree === 'sum'
    ? { subject: { of: 'chunk', turns, chunk: index }, call: judges.data.askChunk(place, BigInt(index)) }
    : { subject: { of: 'step', turns, chunk: index }, call: judges.data.askStep(place, BigInt(index)) };
}

function answeredNodes(known: Pick<Known, 'questions' | 'name'>, subject: Subject): Hex[] | null {
  const answer = answerTo(known, subject)?.answer;
  return answer?.name === 'answerNodes' ? [...(answer.args['nodes'] as Hex[])] : null;
}

/** All nodes that exist at a height above the leaves. */
export function rowAt(hash: Hash, tree: MerkleTree, height: number): Hex[] {
  const zeros = zeroHashes(hash, height);
  let row = Array.from({ length: tree.count }, (_, i) => tree.leaf(i));
  for (let h = 0; h < height; h++)
    row = Array.from({ length: Math.ceil(row.length / 2) }, (_, i) => {
      const children = [row[2 * i], row[2 * i + 1] ?? zeros[h]];
      return hash(Uint8Array.from([0x10, ...children.flatMap((child) => [...(child ?? [])])]));
    });
  return row.map(toHex);
}
