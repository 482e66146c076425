/** Finds the chunk in which a committed sum differs from the true one, when only its root is known. */
import { AbiCoder, Interface, keccak256 } from 'ethers';
import { dataJudgeAbi } from '#contracts/generated/DataJudge.js';
import { typedContract, type ChainCall } from '#contracts/typed.js';
import { toHex, type Hash, type Hex } from '#core/hex.js';
import { LEAF, treeDepth, valuesTree, zeroHashes, type LeafValues, type MerkleTree } from '#core/merkle.js';
import { logReader } from '#services/chain/logs.js';
import type { ChainJob } from '#services/chain.js';
import type { Evidence, NodeName } from './evidence.js';
import type { AuditSources } from './sources.js';

/** A question answers with the nodes so many levels below (contracts/DataJudge.sol). */
const LEVELS = 8;

/**
 * The next question about a node whose sum has another root than the true one: for inner nodes, as long as the
 * answers so far leave more than one chunk, then for the chunk itself, which nobody can answer.
 */
export async function nextQuestion(
  { sources, evidence, job }: { sources: AuditSources; evidence: Evidence; job: ChainJob },
  node: NodeName,
  truth: LeafValues,
): Promise<ChainCall> {
  const { chain, hash } = sources;
  const judge = typedContract(dataJudgeAbi, chain.deployment.judges.data, chain.provider);
  const place = evidence.place(node);
  const tree = valuesTree(hash, LEAF.sum, truth);
  let height = treeDepth(tree.count);
  let index = 0;
  while (height > 0) {
    const inner = { tree: 0n, height: BigInt(height), index: BigInt(index) };
    const subject = keccak256(
      AbiCoder.defaultAbiCoder().encode(
        ['string', 'uint8[]', 'tuple(uint8,uint8,uint32)'],
        ['nodes', place.turns, Object.values(inner)],
      ),
    ) as Hex;
    const question = await judge.read.questionOf(job.job, place.round, subject);
    const nodes = await answeredNodes(sources, question);
    if (!nodes) return judge.call.askNodes(place, inner);
    const levels = Math.min(LEVELS, height);
    const below = height - levels;
    const row = rowAt(hash, tree, below);
    const first = index * 2 ** levels;
    const differs = nodes.findIndex((found, i) => found !== row[first + i]);
    height = below;
    // An answer leads to the committed root, which is not the true one: it must differ somewhere.
    index = first + Math.max(0, differs);
  }
  return judge.call.askChunk(place, BigInt(index));
}

async function answeredNodes({ chain }: AuditSources, question: Hex): Promise<Hex[] | null> {
  const judge = typedContract(dataJudgeAbi, chain.deployment.judges.data);
  const logs = logReader(chain.provider, chain.deployment);
  const [answered] = await logs(judge, 'Answered', { question }, undefined);
  if (!answered) return null;
  const transaction = await chain.provider.getTransaction(answered.transaction);
  const call = new Interface(dataJudgeAbi).parseTransaction({ data: transaction?.data ?? '0x' });
  return call?.name === 'answerNodes' ? [...(call.args['nodes'] as Hex[])] : null;
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
