/** Sums that are not those of the updates, and parameters that are not the step from them. */
import { isRoundtableError } from '#core/errors.js';
import { toHex, type Hex } from '#core/hex.js';
import { LEAF, VALUES_PER_LEAF, valuesRoot, type LeafType, type LeafValues } from '#core/merkle.js';
import { nameOf } from '#core/robustNames.js';
import { fedAvg, fedAvgM } from '#core/step.js';
import { robustRuleOf, stepRule } from '#services/chain/terms.js';
import { answerTo, question, report, versionInput, type Accusation, type Known } from './accusation.js';
import { openModels, type Models } from './accused.js';
import { nextQuestion } from './bisection.js';
import { chunkOf, type NodeName } from './evidence.js';
import { NotAtHand, sumOfNode } from './nodeSums.js';
import type { Subject } from './questions.js';
import type { VersionHashes } from './version.js';

/** What of the numbers could not be recomputed, where nothing was found wrong. */
export interface Numbers {
  accusation: Accusation | null;
  unknown: string[];
  /** What is wrong, although no contract can be shown it: a robust rule over more than 16 runners. */
  undisputable?: string[];
}

interface StepResult {
  params: Int32Array;
  velocity: Int32Array | null;
}

export async function wrongNumber(known: Known): Promise<Numbers> {
  const { job, name, headers, evidence } = known;
  const summed = {
    evidence,
    headers,
    job: job.job,
    round: name.round,
    dimension: job.terms.dimension,
    rule: robustRuleOf(job.terms),
  };
  let wrong: { node: NodeName; sum: Float64Array } | null = null;
  let total;
  try {
    total = await sumOfNode(known.sources, summed, evidence.rootName, (node, sum) => {
      // The lowest one: what stands above it follows from it.
      if (!wrong && rootOf(known, LEAF.sum, sum) !== sumRootAt(known, node)) wrong = { node, sum };
    });
  } catch (error) {
    if (!(error instanceof NotAtHand)) throw error;
    return { accusation: null, unknown: [`the sum: ${error.message}`] };
  }
  if (wrong) return wrongSum(known, wrong);
  if (stepRule(job.terms) === 0)
    return { accusation: null, unknown: ['the step: no contract knows its rule'] };
  return wrongStep(known, await openModels(known.sources, known), total.values, total.weight);
}

/** Only its root is known: the coordinator must show where it differs, and then the chunk it differs in. */
function wrongSum(known: Known, { node, sum }: { node: NodeName; sum: Float64Array }): Numbers {
  const rule = robustRuleOf(known.job.terms);
  const name = rule ? nameOf(rule) : 'sum';
  const what = `the ${name} of node ${node.index} of level ${node.level} is not that of the updates`;
  if (rule && node.level > 0) return { accusation: null, unknown: [], undisputable: [what] };
  const { subject, call } = nextQuestion(known, 'sum', node, sum);
  return found(question(known, what, subject, call));
}

function wrongStep(known: Known, models: Models, total: Float64Array, weight: number): Numbers {
  const { base, next: model } = models;
  const { before, closing, evidence, judges, name, sources } = known;
  const versions = versionsOf(known);
  if ('kind' in versions) return found(versions);
  if (!base) return { accusation: null, unknown: ['the step: the version before is not at hand'] };
  const at = firstWrong(known, base, model, total, weight);
  if (at === null) return { accusation: null, unknown: [] };
  const chunk = Math.floor(at.index / VALUES_PER_LEAF);
  if (!model && at.isBeyond)
    return found(
      question(
        known,
        `the step of parameter ${at.index} leaves 32 bits`,
        { of: 'step', turns: [], chunk },
        judges.data.askStep(evidence.place(evidence.rootName), BigInt(chunk)),
      ),
    );
  if (!model) {
    if (rootOf(known, LEAF.params, at.expected.params) === closing.paramsRoot)
      return { accusation: null, unknown: ['the new version: its file is not at hand'] };
    const asked = nextQuestion(known, 'params', evidence.rootName, at.expected.params);
    return found(question(known, 'the new parameters are not those of the step', asked.subject, asked.call));
  }
  const of = (type: 2 | 6, values: Int32Array | null | undefined) =>
    values ? chunkOf(sources.hash, type, values, chunk) : { values: '0x' as const, proof: [] };
  const [old, params] = [of(LEAF.params, base.params), of(LEAF.params, model.params)];
  const [velocity, newVelocity] = [of(LEAF.state, base.velocity), of(LEAF.state, model.velocity)];
  return found(
    report(
      `parameter ${at.index} of round ${name.round} is ${at.value}, and the updates give ${at.due}`,
      judges.sums.wrongStep(
        evidence.place(evidence.rootName),
        chunkOf(sources.hash, LEAF.sum, total, chunk),
        {
          before: before.fields,
          base: versionInput(versions.base),
          version: versionInput(versions.version),
          params: old.values,
          paramsProof: old.proof,
          newParams: params.values,
          newParamsProof: params.proof,
          velocity: velocity.values,
          velocityProof: velocity.proof,
          newVelocity: newVelocity.values,
          newVelocityProof: newVelocity.proof,
        },
      ),
    ),
  );
}

/** What both versions' ids commit to: from the manifests, or from an answer; else the question that needs both. */
function versionsOf(known: Known): { base: VersionHashes; version: VersionHashes } | Accusation {
  const { before, version, evidence, judges } = known;
  if (before.version && version) return { base: before.version, version };
  const subject: Subject = { of: 'step', turns: [], chunk: 0 };
  const args = answerTo(known, subject)?.answer?.args;
  if (args) {
    const step = args['step'] as Record<'base' | 'version', VersionArguments>;
    return {
      base: hashesOf(step.base, before.versionId),
      version: hashesOf(step.version, known.closing.versionId),
    };
  }
  const place = evidence.place(evidence.rootName);
  return question(
    known,
    'nobody can see what its version consists of',
    subject,
    judges.data.askStep(place, 0n),
  );
}

type VersionArguments = Record<'graphHash' | 'paramsRoot' | 'stepsHash' | 'stateRoot', Hex>;

function hashesOf(args: VersionArguments, versionId: Hex): VersionHashes {
  const { graphHash: graph, paramsRoot, stepsHash, stateRoot } = args;
  return { versionId, graph, paramsRoot, stepsHash, stateRoot };
}

interface WrongValue {
  index: number;
  /** As the new version has it; null when its file is not at hand. */
  value: number | null;
  due: number | string;
  /** No value is right: the step leaves 32 bits. */
  isBeyond: boolean;
  expected: StepResult;
}

/**
 * The first value that the step does not lead to. A step that leaves 32 bits has no right outcome, whatever was
 * committed to.
 */
function firstWrong(
  { job: { terms } }: Known,
  base: { params: Int32Array; velocity: Int32Array | null },
  next: { params: Int32Array; velocity: Int32Array | null } | null,
  total: Float64Array,
  weight: number,
): WrongValue | null {
  let expected: StepResult;
  try {
    expected = stepped();
  } catch (error) {
    if (!isRoundtableError(error, 'STEP_OUT_OF_RANGE')) throw error;
    const index = Number(error.details['index']);
    return {
      index,
      value: next?.params[index] ?? null,
      due: 'a value beyond 32 bits',
      isBeyond: true,
      expected: { params: base.params, velocity: base.velocity },
    };
  }
  if (!next) return { index: 0, value: null, due: '', isBeyond: false, expected };
  const index = expected.params.findIndex(
    (value, i) => value !== next.params[i] || expected.velocity?.[i] !== next.velocity?.[i],
  );
  if (index < 0) return null;
  return {
    index,
    value: next.params[index] ?? null,
    due: expected.params[index] ?? '',
    isBeyond: false,
    expected,
  };

  function stepped(): StepResult {
    if (stepRule(terms) === 1)
      return { params: fedAvg(base.params, total, weight, terms.rate), velocity: null };
    const velocity = base.velocity ?? new Int32Array(base.params.length);
    return fedAvgM(base.params, velocity, total, weight, terms.rate, terms.momentum);
  }
}

function sumRootAt({ evidence }: Known, { level, index }: NodeName): Hex | undefined {
  return evidence.facts.sumRoots[level]?.[index];
}

function rootOf({ sources }: Known, type: LeafType, values: LeafValues): Hex {
  return toHex(valuesRoot(sources.hash, type, values));
}

function found(accusation: Accusation): Numbers {
  return { accusation, unknown: [] };
}
