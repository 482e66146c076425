/** What a round was opened with, as judges take it. A liar's selection need not ascend, so nothing is refused here. */
import { toHex, type Hash, type Hex } from '#core/hex.js';
import { MerkleTree } from '#core/merkle.js';
import type { RoundOpening } from '#core/messages.js';
import { openHashAt, selectionLeaf } from '#core/openHash.js';

export interface OpeningInput {
  job: Hex;
  round: bigint;
  baseVersion: Hex;
  specHash: Hex;
  shift: bigint;
  count: bigint;
  selectionRoot: Hex;
}

type Selection = readonly { runner: Hex; maxSamples: number }[];

/** Null for an opening that selects nobody. */
export function openingOf(hash: Hash, opening: RoundOpening): { input: OpeningInput; openHash: Hex } | null {
  const { job, round, baseVersion, specHash, shift, selection } = opening;
  const [first] = selection;
  if (!first) return null;
  const tree = treeOf(hash, selection);
  const place = { index: 0, count: selection.length, proof: tree.proof(0).map(toHex) };
  return {
    openHash: openHashAt(hash, opening, first, place),
    input: {
      job,
      round: BigInt(round),
      baseVersion,
      specHash,
      shift: BigInt(shift),
      count: BigInt(selection.length),
      selectionRoot: toHex(tree.root),
    },
  };
}

/** Lines of a selection with their proofs. */
export function selectedLines(hash: Hash, selection: Selection): (index: number) => SelectedInput {
  const tree = treeOf(hash, selection);
  return (index) => {
    const line = selection[index];
    if (!line) throw new RangeError(`The selection has no line ${index}.`);
    return {
      index: BigInt(index),
      runner: line.runner,
      maxSamples: BigInt(line.maxSamples),
      proof: tree.proof(index).map(toHex),
    };
  };
}

interface SelectedInput {
  index: bigint;
  runner: Hex;
  maxSamples: bigint;
  proof: Hex[];
}

function treeOf(hash: Hash, selection: Selection): MerkleTree {
  return new MerkleTree(
    hash,
    selection.map((selected, index) => selectionLeaf(hash, index, selected)),
  );
}
