/** What a question on chain is about. The chain keeps only the hash of it. */
import { leafCount, treeDepth } from '#core/merkle.js';
import type { Chain } from '#services/chain.js';
import type { Evidence } from './evidence.js';
import {
  innerTrees,
  readCall,
  subjectHash,
  type InnerTree,
  type RoundQuestion,
  type Subject,
} from './questions.js';

interface Shape {
  evidence: Evidence;
  /** Of the model. */
  dimension: number;
}

/**
 * Read from the transaction that asked; where that does not show it (another contract asked), found by trying all that
 * can be asked about a round of this shape: some 100,000 hashes for each node of a round of a million parameters.
 * @returns null when it is none of them
 */
export async function subjectOf(
  chain: Pick<Chain, 'provider'>,
  { subject, asked }: Pick<RoundQuestion, 'subject' | 'asked'>,
  shape: Shape,
): Promise<Subject | null> {
  const isIt = (candidate: Subject | null) => candidate !== null && subjectHash(candidate) === subject;
  const said = subjectIn(await readCall(chain, asked.transaction));
  if (isIt(said)) return said;
  for (const candidate of subjectsOf(shape)) if (isIt(candidate)) return candidate;
  return null;
}

type Call = Awaited<ReturnType<typeof readCall>>;

function subjectIn(call: Call): Subject | null {
  if (!call) return null;
  const { name, args } = call;
  const [, which] = args as unknown as [unknown, bigint];
  const turns = () => [...(args['place'] as { turns: bigint[] }).turns].map(Number);
  switch (name) {
    case 'askRoot':
      return { of: 'root' };
    case 'askOpening':
      return { of: 'opening' };
    case 'askNode':
      return { of: 'node', turns: turns(), child: Number(which) };
    case 'askLeaf':
      return { of: 'leaf', turns: turns(), child: Number(which) };
    case 'askChunk':
      return { of: 'chunk', turns: turns(), chunk: Number(which) };
    case 'askStep':
      return { of: 'step', turns: turns(), chunk: Number(which) };
    case 'askNodes': {
      const inner = args['inner'] as { tree: bigint; height: bigint; index: bigint };
      const tree = treeNumbered(Number(inner.tree));
      return (
        tree && {
          of: 'nodes',
          turns: turns(),
          tree,
          height: Number(inner.height),
          index: Number(inner.index),
        }
      );
    }
    default:
      return null;
  }
}

function treeNumbered(number: number): InnerTree | null {
  return trees.find((tree) => innerTrees[tree] === number) ?? null;
}

const trees = ['sum', 'params'] as const;

/** Everything that can be asked and answered about a round, what is asked for most often first. */
export function* subjectsOf({ evidence, dimension }: Shape): Generator<Subject> {
  yield { of: 'root' };
  yield { of: 'opening' };
  const chunks = leafCount(dimension);
  const places = [...placesOf(evidence)];
  for (const { turns, level, children } of places)
    for (let child = 0; child < children; child++) yield { of: level === 0 ? 'leaf' : 'node', turns, child };
  for (let chunk = 0; chunk < chunks; chunk++) yield { of: 'step', turns: [], chunk };
  for (const { turns } of places) {
    for (let chunk = 0; chunk < chunks; chunk++) yield { of: 'chunk', turns, chunk };
    for (const tree of trees)
      for (let height = treeDepth(chunks); height > 0; height--)
        for (let index = 0; index < Math.ceil(chunks / 2 ** height); index++)
          yield { of: 'nodes', turns, tree, height, index };
  }
}

/** Every node, from the root down. */
function* placesOf(
  evidence: Evidence,
  level = evidence.levels.length - 1,
  index = 0,
  turns: number[] = [],
): Generator<{ turns: number[]; level: number; children: number }> {
  const [from, to] = evidence.levels[level]?.[index]?.children ?? [0, 0];
  yield { turns, level, children: to - from };
  if (level === 0) return;
  for (let child = from; child < to; child++)
    yield* placesOf(evidence, level - 1, child, [...turns, child - from]);
}
