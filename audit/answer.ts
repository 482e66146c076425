/** What an honest coordinator answers when it is asked on chain: the calls that contracts/DataJudge.sol and ReceiptJudge.sol take. */
import type { ChainCall } from '#contracts/typed.js';
import { toHex, type Hex } from '#core/hex.js';
import type { KeptReceipt } from '#core/receipts.js';
import { LEAF, valuesTree, type LeafValues } from '#core/merkle.js';
import { RoundtableError } from '#core/errors.js';
import { robustRuleOf } from '#services/chain/terms.js';
import { chainCalls, closingInput } from '#services/chainCalls.js';
import { versionInput, type Judges } from './accusation.js';
import { loadAccused, openModels, type Accused, type Committed } from './accused.js';
import { rowAt } from './bisection.js';
import { chunkOf, updateChunks, type NodeName } from './evidence.js';
import { sumOfNode, updatesUnder, type Summed } from './nodeSums.js';
import { innerTrees, type RoundQuestion, type Subject } from './questions.js';
import { answerInclusion } from './receipts.js';
import type { AuditSources } from './sources.js';
import { subjectOf } from './subject.js';

type Answering = Omit<Accused, 'committed'> & Committed & { sources: AuditSources; judges: Judges };
type Of<K extends Subject['of']> = Extract<Subject, { of: K }>;

/**
 * @param sources with the updates of the round, where its sums are asked for
 * @param receipts that the coordinator has signed for a round's updates
 * @returns null for a question about a closing that does not stand any more: nobody is convicted for it
 * @throws NOT_FOUND for what cannot be answered; NotAtHand when an update is missing
 */
export async function answerQuestion(
  sources: AuditSources,
  question: RoundQuestion,
  receipts: (job: Hex, round: number) => Promise<KeptReceipt[]>,
): Promise<ChainCall | null> {
  const { job, round, closing } = question.round;
  const now = await sources.chain.commitments(job, round);
  const { latest } = (await sources.chain.job(job)) ?? { latest: 0 };
  if (now.closing !== closing || round > latest) return null;
  const { committed, ...accused } = await loadAccused(sources, job, round);
  if (!committed) throw unanswerable(question, 'the manifest of the round is not to be had');
  const { deployment } = sources.chain;
  if (question.judge === 'receipts') {
    const { record, before } = accused;
    const { dimension } = accused.job.terms;
    const seen = { ...committed, openHash: record.openHash, previous: before.word, dimension };
    const answer = answerInclusion(deployment, question, seen, await receipts(job, round));
    if (answer) return answer;
    throw unanswerable(question, 'the round has neither the update nor two statements of its runner');
  }
  const { judges } = chainCalls(deployment);
  const known: Answering = { ...accused, ...committed, sources, judges };
  const subject = await subjectOf(sources.chain, question, {
    evidence: committed.evidence,
    dimension: accused.job.terms.dimension,
  });
  if (!subject) throw unanswerable(question, 'no part of the round has this name');
  return answer(known, subject);
}

function answer(known: Answering, subject: Subject): Promise<ChainCall> | ChainCall {
  const { judges, evidence, name } = known;
  const id = [name.job, BigInt(name.round)] as const;
  switch (subject.of) {
    case 'root':
      return judges.data.answerRoot(
        ...id,
        closingInput(known.openingWord, known.closing),
        evidence.node(evidence.rootName),
      );
    case 'opening':
      if (!known.opening) throw new TypeError('The manifest has another opening than the chain.');
      return judges.data.answerOpening(...id, known.before.word, known.opening);
    case 'node':
      return node(known, subject);
    case 'leaf':
      return leaf(known, subject);
    case 'chunk':
      return chunk(known, subject);
    case 'step':
      return step(known, subject);
    case 'nodes':
      return nodes(known, subject);
  }
}

function node({ judges, evidence }: Answering, { turns, child }: Of<'node' | 'leaf'>): ChainCall {
  const { level, index } = evidence.nameAt([...turns, child]);
  return judges.data.answerNode(
    evidence.place(evidence.nameAt(turns)),
    BigInt(child),
    evidence.node({ level, index }),
  );
}

function leaf(known: Answering, { turns, child }: Of<'node' | 'leaf'>): ChainCall {
  const { judges, evidence, headers, before, record } = known;
  const at = evidence.nameAt(turns);
  const runner = 16 * at.index + child;
  const header = headers[runner];
  if (!header) throw new RangeError(`The round has no runner ${runner}.`);
  return judges.data.answerLeaf(
    evidence.place(at),
    BigInt(child),
    evidence.leaf(runner),
    header.signature,
    BigInt(header.steps),
    before.word,
    record.openHash,
  );
}

async function chunk(known: Answering, { turns, chunk: index }: Of<'chunk' | 'step'>): Promise<ChainCall> {
  const { judges, evidence, sources } = known;
  const at = evidence.nameAt(turns);
  const place = evidence.place(at);
  if (at.level === 0) {
    const updates = await updatesUnder(sources, summedOf(known), at);
    const [from] = evidence.levels[0]?.[at.index]?.runners ?? [0];
    const sum = await sumOfNode(sources, summedOf(known), at);
    // As a list over all runners, so that each stands where its header does.
    const placed = [...Array.from({ length: from }, () => new Int32Array()), ...updates];
    return judges.data.answerChunk(
      place,
      chunkOf(sources.hash, LEAF.sum, sum.values, index),
      updateChunks(sources.hash, evidence, at.index, placed, index),
    );
  }
  const parts: { name: NodeName; values: Hex; proof: Hex[] }[] = [];
  const sum = await sumOfNode(sources, summedOf(known), at, (below, values) => {
    if (below.level === at.level - 1)
      parts.push({ name: below, ...chunkOf(sources.hash, LEAF.sum, values, index) });
  });
  return judges.data.answerUpperChunk(
    place,
    chunkOf(sources.hash, LEAF.sum, sum.values, index),
    parts.map(({ name, values, proof }) => ({ header: evidence.node(name), values, proof })),
  );
}

async function step(known: Answering, { chunk: index }: Of<'chunk' | 'step'>): Promise<ChainCall> {
  const { judges, evidence, sources, before, version } = known;
  const { base, next } = await openModels(sources, known);
  if (!base || !next || !before.version || !version)
    throw new RoundtableError('NOT_FOUND', 'The versions of the round cannot be opened.');
  const { hash } = sources;
  const total = await sumOfNode(sources, summedOf(known), evidence.rootName);
  const none = { values: '0x' as Hex, proof: [] as Hex[] };
  const of = (type: 2 | 6, values: Int32Array | null) => (values ? chunkOf(hash, type, values, index) : none);
  const [params, newParams] = [of(LEAF.params, base.params), of(LEAF.params, next.params)];
  const [velocity, newVelocity] = [of(LEAF.state, base.velocity), of(LEAF.state, next.velocity)];
  return judges.data.answerStep(
    evidence.place(evidence.rootName),
    chunkOf(hash, LEAF.sum, total.values, index),
    {
      before: before.fields,
      base: versionInput(before.version),
      version: versionInput(version),
      params: params.values,
      paramsProof: params.proof,
      newParams: newParams.values,
      newParamsProof: newParams.proof,
      velocity: velocity.values,
      velocityProof: velocity.proof,
      newVelocity: newVelocity.values,
      newVelocityProof: newVelocity.proof,
    },
  );
}

async function nodes(known: Answering, { turns, tree, height, index }: Of<'nodes'>): Promise<ChainCall> {
  const { judges, evidence, sources } = known;
  const at = evidence.nameAt(turns);
  const values = await vectorOf(known, tree, at);
  const of = valuesTree(sources.hash, tree === 'sum' ? LEAF.sum : LEAF.params, values);
  const levels = Math.min(8, height);
  const row = rowAt(sources.hash, of, height - levels);
  const span = 2 ** levels;
  return judges.data.answerNodes(
    evidence.place(at),
    { tree: BigInt(innerTrees[tree]), height: BigInt(height), index: BigInt(index) },
    row.slice(index * span, (index + 1) * span),
    of
      .proof(index * 2 ** height)
      .slice(height)
      .map(toHex),
  );
}

async function vectorOf(known: Answering, tree: 'sum' | 'params', at: NodeName): Promise<LeafValues> {
  if (tree === 'sum') return (await sumOfNode(known.sources, summedOf(known), at)).values;
  const { next } = await openModels(known.sources, known);
  if (!next) throw new RoundtableError('NOT_FOUND', 'The version of the round cannot be opened.');
  return next.params;
}

function summedOf({ evidence, headers, name, job }: Answering): Summed {
  return {
    evidence,
    headers,
    job: name.job,
    round: name.round,
    dimension: job.terms.dimension,
    rule: robustRuleOf(job.terms),
  };
}

function unanswerable({ id, round }: RoundQuestion, why: string): RoundtableError {
  return new RoundtableError(
    'NOT_FOUND',
    `Question ${id} about round ${round.round} of job ${round.job} cannot be answered: ${why}.`,
  );
}
