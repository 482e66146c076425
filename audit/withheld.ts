/**
 * A round whose manifest nobody has, or whose manifest does not lead to what stands on chain: all it committed to is
 * asked for, node by node, and put together from the answers. What is not answered convicts.
 */
import { aggregationTree, type AggregationNode } from '#core/commitment.js';
import type { Hex } from '#core/hex.js';
import { closingInput } from '#services/chainCalls.js';
import { answerTo, question, report, type Accusation, type Judges, type Known } from './accusation.js';
import type { Accused, Committed, SignedHeader } from './accused.js';
import { Evidence } from './evidence.js';
import type { Subject } from './questions.js';
import type { AuditSources } from './sources.js';
import { openingAnswered } from './wrongOpening.js';

type Asked = Accused & Pick<Known, 'questions'> & { sources: AuditSources; judges: Judges };

/** What the round committed to; or what is to be asked for it, or is wrong with it already. */
export type Gathered = Committed | { accusations: Accusation[]; unknown: string[] };

/** A node as contracts take and show it. */
interface NodeInput {
  sumRoot: Hex;
  weight: bigint;
  count: bigint;
  children: Hex[];
}

/** Questions asked at once: each costs a bond, and answers may end them all. */
const mostAtOnce = 16;
/** A root that claims more runners is not looked into. */
const mostRunners = 1 << 17;

export function gather(known: Asked): Gathered {
  const { judges, name } = known;
  const id = [name.job, BigInt(name.round)] as const;
  const why = 'its manifest is not to be had, or does not lead to its root header';
  const root = answerTo(known, { of: 'root' })?.answer?.args;
  const opening = answerTo(known, { of: 'opening' })?.answer?.args;
  if (root && opening)
    return new Tree(known, nodeInput(root['root'])).gathered(openingAnswered(opening), why);
  return stopped([
    ...(root ? [] : [question(known, why, { of: 'root' }, judges.data.askRoot(...id))]),
    ...(opening ? [] : [question(known, why, { of: 'opening' }, judges.data.askOpening(...id))]),
  ]);
}

class Tree {
  readonly #known: Asked;
  readonly #root: NodeInput;
  readonly #sumRoots: Hex[][] = [];
  readonly #headers: SignedHeader[] = [];
  readonly #missing: Accusation[] = [];
  #wrong: Accusation | null = null;

  constructor(known: Asked, root: NodeInput) {
    this.#known = known;
    this.#root = root;
  }

  gathered(opening: Committed['opening'], why: string): Gathered {
    const { sources, closing, openingWord } = this.#known;
    const runners = Number(this.#root.count);
    const { judges } = this.#known;
    if (this.#root.count > this.#root.weight) {
      const place = this.#place([this.#root], []);
      return stopped([report('it has more runners than weight', judges.leaves.malformed(place))]);
    }
    if (runners > mostRunners) return stopped([], [`its root claims ${runners} runners`]);
    // The contract takes a root over nobody for one over somebody that is missing.
    const { levels } = aggregationTree(Math.max(1, runners));
    this.#walk(levels, levels.length - 1, 0, [this.#root], [], why);
    if (this.#wrong) return stopped([this.#wrong]);
    if (this.#missing.length > 0) return stopped(this.#missing.slice(0, mostAtOnce));
    const evidence = new Evidence(sources.hash, {
      closing,
      opening: openingWord,
      headers: this.#headers,
      sumRoots: this.#sumRoots,
    });
    return { evidence, headers: this.#headers, opening, selection: null, version: null };
  }

  /** @param path from the root to this node */
  #walk(
    levels: readonly (readonly AggregationNode[])[],
    level: number,
    index: number,
    path: NodeInput[],
    turns: number[],
    why: string,
  ): void {
    const node = path.at(-1);
    const expected = levels[level]?.[index];
    if (!node || !expected) return;
    (this.#sumRoots[level] ??= [])[index] = node.sumRoot;
    const [from, to] = expected.children;
    const [first, end] = expected.runners;
    const { judges } = this.#known;
    const place = this.#place(path, turns);
    if (Number(node.count) !== end - first || node.children.length !== to - from) {
      this.#wrong ??= report('its tree has another shape', judges.leaves.malformed(place));
      return;
    }
    let weight = 0n;
    for (let child = 0; child < to - from; child++) {
      const of = level === 0 ? 'leaf' : 'node';
      const subject: Subject = { of, turns, child };
      const args = answerTo(this.#known, subject)?.answer?.args;
      if (!args) {
        const ask = of === 'leaf' ? judges.data.askLeaf : judges.data.askNode;
        this.#missing.push(question(this.#known, why, subject, ask(place, BigInt(child))));
        continue;
      }
      if (of === 'leaf') {
        const header = headerInput(args);
        this.#headers[from + child] = header;
        weight += BigInt(header.weight);
      } else {
        const below = nodeInput(args['answer']);
        weight += below.weight;
        this.#walk(levels, level - 1, from + child, [...path, below], [...turns, child], why);
      }
    }
    if (this.#missing.length === 0 && weight !== node.weight)
      this.#wrong ??= question(
        this.#known,
        'the weight of a node is not that of what is below it',
        { of: 'chunk', turns, chunk: 0 },
        judges.data.askChunk(place, 0n),
      );
  }

  #place(path: NodeInput[], turns: readonly number[]) {
    const { name, closing, openingWord } = this.#known;
    return {
      job: name.job,
      round: BigInt(name.round),
      closing: closingInput(openingWord, closing),
      path,
      turns: turns.map(BigInt),
    };
  }
}

function nodeInput(args: unknown): NodeInput {
  const { sumRoot, weight, count, children } = args as NodeInput;
  return { sumRoot, weight, count, children: [...children] };
}

function headerInput(args: Record<string, unknown>): SignedHeader {
  const { index, runner, updateRoot, samples, weight } = args['leaf'] as Record<string, bigint> &
    Record<'runner' | 'updateRoot', Hex>;
  return {
    index: Number(index),
    runner: runner.toLowerCase() as Hex,
    updateRoot,
    samples: samples ?? 0n,
    weight: Number(weight),
    signature: args['signature'] as Hex,
    steps: args['steps'] as bigint,
  };
}

function stopped(accusations: Accusation[], unknown: string[] = []): Gathered {
  return { accusations, unknown };
}
