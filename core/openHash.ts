/** What a round commits to when it opens (PROTOCOL sections 2 and 6). */
import { ByteWriter, compareBytes, type Uint } from './bytes.js';
import { RoundtableError } from './errors.js';
import {
  fromHex,
  toHex,
  type Hash,
  type Hex,
  type JobId,
  type RunnerId,
  type Sha256Hex,
  type VersionId,
} from './hex.js';
import { LEAF, MerkleTree, provenRoot } from './merkle.js';

/** A runner that was asked, and the most samples it may sign for. */
export interface Selected {
  runner: RunnerId;
  maxSamples: Uint;
}

export interface Opening {
  job: JobId;
  round: number;
  baseVersion: VersionId;
  specHash: Sha256Hex;
  /** Of the weights, see weights.ts. */
  shift: number;
  /** Strictly ascending by runner. */
  selection: readonly Selected[];
}

/** Where a runner stands in a selection: what recomputing the openHash takes without knowing the others. */
export interface SelectionPlace {
  index: number;
  /** Runners in the selection. */
  count: number;
  /** Siblings in the selection's tree, from the leaf upwards. */
  proof: Hex[];
}

/** H(0x07 ‖ job 32 ‖ round u32 ‖ baseVersion 32 ‖ specHash 32 ‖ shift u8 ‖ count u32 ‖ selectionRoot 32). */
export function openHash(hash: Hash, opening: Opening): Sha256Hex {
  const { selection } = opening;
  return commitment(hash, opening, selection.length, selectionTree(hash, selection).root);
}

/** The openHash as one runner can recompute it, from its own entry and place. @throws INVALID_INPUT for no place */
export function openHashAt(
  hash: Hash,
  opening: Omit<Opening, 'selection'>,
  selected: Selected,
  place: SelectionPlace,
): Sha256Hex {
  return commitment(hash, opening, place.count, fromHex(selectionRootAt(hash, selected, place), 32));
}

/** Root of the selection's tree, from one runner's entry and place. @throws INVALID_INPUT for no place */
export function selectionRootAt(
  hash: Hash,
  selected: Selected,
  { index, count, proof }: SelectionPlace,
): Sha256Hex {
  const siblings = proof.map((sibling) => fromHex(sibling, 32));
  const root = provenRoot(hash, selectionLeaf(hash, index, selected), index, count, siblings);
  if (!root)
    throw new RoundtableError('INVALID_INPUT', `Place ${index} of ${count} does not exist in a selection.`);
  return toHex(root);
}

/** The places of the runners from one index up to another. */
export function selectionPlaces(
  hash: Hash,
  selection: readonly Selected[],
  from: number,
  to: number,
): SelectionPlace[] {
  const tree = selectionTree(hash, selection);
  return selection.slice(from, to).map((_, i) => ({
    index: from + i,
    count: selection.length,
    proof: tree.proof(from + i).map((sibling) => toHex(sibling)),
  }));
}

function commitment(
  hash: Hash,
  opening: Omit<Opening, 'selection'>,
  count: number,
  selectionRoot: Uint8Array,
): Sha256Hex {
  const preimage = new ByteWriter(138)
    .u8(LEAF.open)
    .bytes(fromHex(opening.job), 32)
    .u32(opening.round)
    .bytes(fromHex(opening.baseVersion), 32)
    .bytes(fromHex(opening.specHash), 32)
    .u8(opening.shift)
    .u32(count)
    .bytes(selectionRoot, 32)
    .finish();
  return toHex(hash(preimage));
}

/** The tree of the selection, from which one runner's place can be proved. @throws INVALID_INPUT unless ascending */
export function selectionTree(hash: Hash, selection: readonly Selected[]): MerkleTree {
  selection.forEach(({ runner }, i) => {
    const before = selection[i - 1];
    if (before && compareBytes(fromHex(before.runner), fromHex(runner)) >= 0)
      throw new RoundtableError(
        'INVALID_INPUT',
        `A selection is ascending by runner; ${runner} follows ${before.runner}.`,
      );
  });
  return new MerkleTree(
    hash,
    selection.map((selected, index) => selectionLeaf(hash, index, selected)),
  );
}

/** H(0x08 ‖ index u32 ‖ runner 20 ‖ maxSamples u64). */
export function selectionLeaf(hash: Hash, index: number, { runner, maxSamples }: Selected): Uint8Array {
  return hash(
    new ByteWriter(33)
      .u8(LEAF.selection)
      .u32(index)
      .bytes(fromHex(runner as Hex), 20)
      .u64(maxSamples)
      .finish(),
  );
}
