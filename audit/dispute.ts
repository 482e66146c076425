/**
 * What is wrong with a closed round, as the call that convicts its coordinator: the smallest proof that a judge takes,
 * or a question that a liar cannot answer. Needs chain, archive and, for sums, the updates; trusts nobody.
 */
import { updateDomain, updateTypes } from '#core/eip712.js';
import { toHex, ZERO_HASH, type Hex } from '#core/hex.js';
import { LEAF, VALUES_PER_LEAF, valuesRoot } from '#core/merkle.js';
import { openHash, selectionTree } from '#core/openHash.js';
import { fedAvg, fedAvgM } from '#core/step.js';
import { decodeUpdateFile } from '#core/updateFile.js';
import { weightOf } from '#core/weights.js';
import { wordTime } from '#services/chain/words.js';
import { chainCalls } from '#services/chainCalls.js';
import type { ChainCall } from '#contracts/typed.js';
import { typedDataSigner } from '#services/signatures.js';
import { loadAccused, type Accused } from './accused.js';
import { nextQuestion } from './bisection.js';
import { chunkOf, exactSums, type NodeName } from './evidence.js';
import type { AuditSources } from './sources.js';

export interface Accusation {
  /** What is wrong, for people. */
  what: string;
  /** A report convicts at once, and must be committed to first; a question convicts when it is not answered. */
  kind: 'report' | 'question';
  call: ChainCall;
}

/**
 * The first thing that is wrong with a round, or null. Sums are looked at only when every update is at hand.
 * @throws ARCHIVE_UNREACHABLE, CHAIN_UNREACHABLE; NOT_FOUND for a round that is not closed
 */
export async function accuse(sources: AuditSources, job: Hex, round: number): Promise<Accusation | null> {
  const accused = await loadAccused(sources, job, round);
  const judges = chainCalls(sources.chain.deployment).judges;
  if (!accused.evidence)
    return question('its manifest does not lead to its root header', judges.data.askRoot(job, BigInt(round)));
  const known = { ...accused, evidence: accused.evidence, sources, judges };
  return (
    wrongOpening(known) ??
    wrongVersion(known) ??
    (await unfitRunner(known)) ??
    forgedLeaf(known) ??
    (await wrongNumber(known))
  );
}

type Known = Accused & {
  evidence: NonNullable<Accused['evidence']>;
  sources: AuditSources;
  judges: ReturnType<typeof chainCalls>['judges'];
};

function wrongOpening(known: Known): Accusation | null {
  const { manifest, job, record, closing, before, judges, sources } = known;
  const { opening } = manifest;
  if (openHash(sources.hash, opening) !== record.openHash)
    return question(
      'the opening in its manifest is not the one on chain',
      judges.data.askOpening(job.job, BigInt(closing.round)),
    );
  const wrong =
    opening.job !== job.job ||
    opening.round !== closing.round ||
    opening.baseVersion !== before.version.versionId ||
    opening.specHash !== job.specHash;
  if (!wrong) return null;
  return report(
    'it was opened for another job, round, spec or base version than its own',
    judges.leaves.wrongOpening(
      job.job,
      BigInt(closing.round),
      openedInput(known),
      before.fields,
      known.creation,
      [],
    ),
  );
}

function wrongVersion(known: Known): Accusation | null {
  const { manifest, job, closing, before, judges, evidence } = known;
  const { version } = manifest;
  const follows =
    version.graph === before.version.graph &&
    version.stepsHash === before.version.stepsHash &&
    version.paramsRoot === closing.paramsRoot &&
    (job.terms.rule !== 1 || version.stateRoot === ZERO_HASH);
  if (follows) return null;
  return report(
    'its version is not of the model that it builds on',
    judges.sums.wrongVersion(
      job.job,
      BigInt(closing.round),
      evidence.place(evidence.rootName).closing,
      before.fields,
      versionInput(before.version),
      versionInput(version),
    ),
  );
}

async function unfitRunner(known: Known): Promise<Accusation | null> {
  const { manifest, evidence, judges, sources, openingWord, job } = known;
  const { headers, opening } = manifest;
  const unbonding = await sources.chain.unbondingSeconds();
  const openedAt = wordTime(openingWord);
  const tree = selectionTree(sources.hash, opening.selection);
  const selected = (index: number) => {
    const { runner = ZERO_HASH, maxSamples = 0 } = opening.selection[index] ?? {};
    return {
      index: BigInt(index),
      runner: runner as Hex,
      maxSamples: BigInt(maxSamples),
      proof: tree.proof(index).map(toHex),
    };
  };
  for (const [index, header] of headers.entries()) {
    const { place, child } = evidence.placeOf(index);
    const at = [place, child, evidence.leaf(index), openedInput(known)] as const;
    const who = `runner ${header.runner}`;
    const next = headers[index + 1];
    if (next && next.runner <= header.runner) {
      const { place: nextPlace, child: nextChild } = evidence.placeOf(index + 1);
      return report(
        `${who} is out of order or there twice`,
        judges.leaves.unordered(
          place,
          child,
          evidence.leaf(index),
          nextPlace,
          nextChild,
          evidence.leaf(index + 1),
        ),
      );
    }
    const registered = await sources.chain.runner(header.runner);
    const tookPart =
      registered !== null &&
      registered.registeredAt <= openedAt &&
      (registered.leftAt === null || registered.leftAt + unbonding > openedAt);
    const consistent =
      header.index === index &&
      header.samples > 0 &&
      (job.terms.sampleCap === 0 || header.samples <= job.terms.sampleCap) &&
      header.weight === weightOf(header.samples, opening.shift);
    if (!tookPart || !consistent)
      return report(
        tookPart ? `the header of ${who} contradicts itself` : `${who} had no stake when the round opened`,
        judges.leaves.unfitRunner(...at),
      );
    const line = opening.selection.findIndex(({ runner }) => runner === header.runner);
    if (line < 0) {
      const above = opening.selection.findIndex(({ runner }) => runner > header.runner);
      const beside =
        above < 0
          ? [selected(opening.selection.length - 1)]
          : above === 0
            ? [selected(0)]
            : [selected(above - 1), selected(above)];
      return report(`${who} was not selected`, judges.leaves.unselected(...at, beside));
    }
    if (header.samples > (opening.selection[line]?.maxSamples ?? 0))
      return report(
        `${who} signed more samples than it had declared`,
        judges.leaves.overclaimed(...at, selected(line)),
      );
  }
  return null;
}

/** The header commits to no steps, so no contract can say that a signature is forged: the coordinator must show it. */
function forgedLeaf({ manifest, evidence, judges, job, record, sources }: Known): Accusation | null {
  const { chainId, jobs } = sources.chain.deployment;
  for (const [index, header] of manifest.headers.entries()) {
    const { updateRoot, samples, steps, signature } = header;
    const statement = {
      job: job.job,
      round: manifest.opening.round,
      openHash: record.openHash,
      updateRoot,
      dimension: job.terms.dimension,
      samples,
      steps,
    };
    const domain = updateDomain(chainId, jobs);
    if (typedDataSigner(domain, updateTypes, statement, signature) === header.runner) continue;
    const { place, child } = evidence.placeOf(index);
    return question(
      `the signature of runner ${header.runner} does not hold`,
      judges.data.askLeaf(place, child),
    );
  }
  return null;
}

async function wrongNumber(known: Known): Promise<Accusation | null> {
  const { manifest, evidence, sources, judges, before } = known;
  const updates = await updatesOf(known);
  if (!updates) return null;
  const sums = exactSums(evidence.levels, manifest.headers, updates);
  for (const [level, nodes] of sums.entries())
    for (const [index, sum] of nodes.entries()) {
      const root = toHex(valuesRoot(sources.hash, LEAF.sum, sum));
      if (root === manifest.sumRoots[level]?.[index]) continue;
      const node: NodeName = { level, index };
      // Only its root is known: the coordinator must show where it differs, and then the chunk it differs in.
      const call = await nextQuestion(known, node, sum);
      return question(`the sum of node ${index} of level ${level} is not that of the updates`, call);
    }
  const [base, next, total] = [before.model, known.model, sums.at(-1)?.[0]];
  if (!base || !next || !total) return null;
  const { aggregation } = manifest.spec;
  const weight = manifest.headers.reduce((sum, header) => sum + header.weight, 0);
  const expected =
    aggregation.rule === 'fedavg'
      ? { params: fedAvg(base.params, total, weight, aggregation.rate), velocity: null }
      : fedAvgM(
          base.params,
          base.velocity ?? new Int32Array(base.params.length),
          total,
          weight,
          aggregation.rate,
          aggregation.momentum,
        );
  const at = expected.params.findIndex(
    (value, i) => value !== next.params[i] || expected.velocity?.[i] !== next.velocity?.[i],
  );
  if (at < 0) return null;
  const chunk = Math.floor(at / VALUES_PER_LEAF);
  const of = (type: 2 | 6, values: Int32Array | null | undefined) =>
    values ? chunkOf(sources.hash, type, values, chunk) : { values: '0x' as const, proof: [] };
  const [old, params] = [of(LEAF.params, base.params), of(LEAF.params, next.params)];
  const [velocity, newVelocity] = [of(LEAF.state, base.velocity), of(LEAF.state, next.velocity)];
  return report(
    `parameter ${at} is ${next.params[at]}, and the updates give ${expected.params[at]}`,
    judges.sums.wrongStep(evidence.place(evidence.rootName), chunkOf(sources.hash, LEAF.sum, total, chunk), {
      before: before.fields,
      base: versionInput(before.version),
      version: versionInput(manifest.version),
      params: old.values,
      paramsProof: old.proof,
      newParams: params.values,
      newParamsProof: params.proof,
      velocity: velocity.values,
      velocityProof: velocity.proof,
      newVelocity: newVelocity.values,
      newVelocityProof: newVelocity.proof,
    }),
  );
}

/** Every update, if each is at hand and is what was signed. */
async function updatesOf({ manifest, sources }: Known): Promise<Int32Array[] | null> {
  const updates: Int32Array[] = [];
  const { job, round } = manifest.opening;
  for (const { runner, updateRoot } of manifest.headers) {
    const file = await sources.updateSource?.({ job, round, runner, updateRoot });
    if (!file) return null;
    const { delta } = decodeUpdateFile(file);
    if (toHex(valuesRoot(sources.hash, LEAF.update, delta)) !== updateRoot) return null;
    updates.push(delta);
  }
  return updates;
}

function openedInput({ manifest, before, sources }: Known) {
  const { opening } = manifest;
  return {
    previous: before.word,
    opening: {
      job: opening.job,
      round: BigInt(opening.round),
      baseVersion: opening.baseVersion,
      specHash: opening.specHash,
      shift: BigInt(opening.shift),
      count: BigInt(opening.selection.length),
      selectionRoot: toHex(selectionTree(sources.hash, opening.selection).root),
    },
  };
}

function versionInput(version: { graph: Hex; paramsRoot: Hex; stepsHash: Hex; stateRoot: Hex }) {
  const { graph: graphHash, paramsRoot, stepsHash, stateRoot } = version;
  return { graphHash, paramsRoot, stepsHash, stateRoot };
}

function report(what: string, call: ChainCall): Accusation {
  return { what, kind: 'report', call };
}

function question(what: string, call: ChainCall): Accusation {
  return { what, kind: 'question', call };
}
