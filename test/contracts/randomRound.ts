/** Rounds of random runners, updates and weights, closed on a real chain as a coordinator would, or as a liar would. */
import { id, Wallet } from 'ethers';
import { updateDomain, updateTypes } from '#core/eip712.js';
import { fromHex, toHex, ZERO_HASH, type Hex } from '#core/hex.js';
import type { ManifestHeader } from '#core/manifest.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import { versionId } from '#core/model.js';
import { openHash, selectionTree } from '#core/openHash.js';
import type { RobustRule } from '#core/robustRule.js';
import { fedAvg, fedAvgM, type Fraction } from '#core/step.js';
import { aggregationTree, nodeHeader } from '#core/commitment.js';
import { weightOf, weightShift } from '#core/weights.js';
import { chunkOf, Evidence, exactSums } from '#audit/evidence.js';
import { creationFields } from '#services/chain/words.js';
import type { JobTerms } from '#services/chain/terms.js';
import { sha256 } from '#services/sha256.js';
import { addressOf, archiveId, hash, type ChainStack } from '#test/services/chainStack.js';

export interface Shape {
  runners: number;
  dimension: number;
  seed: number;
  /** Without it FedAvg. */
  momentum?: Fraction;
  rate?: Fraction;
  /** In place of the weighted sum. */
  robust?: RobustRule;
  /** 0: a rule that no contract recomputes. */
  rule?: 0;
  /** Most samples that a runner may claim. */
  sampleCap?: number;
  /** Every runner sends the same update, so that many of a large model fit in memory. */
  same?: boolean;
}

/** What a liar changes; everything behind it follows from the lie. */
export interface Lie {
  headers?: (headers: ManifestHeader[]) => ManifestHeader[];
  /** Level by level from the bottom. */
  sums?: (sums: Float64Array[][]) => void;
  params?: (params: Int32Array) => void;
  velocity?: (velocity: Int32Array) => void;
  /** The version's preimage; the closing goes on saying the true parameters. */
  version?: (version: { graphHash: Hex; paramsRoot: Hex; stepsHash: Hex; stateRoot: Hex }) => void;
  opening?: (opening: { job: Hex; round: number; baseVersion: Hex; specHash: Hex; shift: number }) => void;
  /** The root node, before its header is made. */
  root?: (root: NodeFields) => NodeFields;
  /** Places in the selection that are not selected. */
  unselected?: number[];
}

type NodeFields = ReturnType<Evidence['node']>;

export type RandomRound = Awaited<ReturnType<typeof closeRandomRound>>;

const limit = 2 ** 31 - 1;

export async function closeRandomRound(stack: ChainStack, name: string, shape: Shape, lie: Lie = {}) {
  const { calls, deployment, chain } = stack;
  const { runners, dimension, seed } = shape;
  const sender = stack.sender(stack.member);
  const random = generator(seed);
  const job = hash(`${name} ${seed}`);
  const specHash = hash('spec');
  const rate = shape.rate ?? { numerator: 1, denominator: 1 };
  const common = { dimension, rate, attesters: 0, sampleCap: shape.sampleCap ?? 0 };
  const trim = shape.robust ? 4 * (shape.robust.rule === 'median' ? 50 : shape.robust.percent) : 0;
  const terms: JobTerms = shape.momentum
    ? { ...common, rule: trim + (shape.rule ?? 2), momentum: shape.momentum }
    : { ...common, rule: trim + (shape.rule ?? 1), momentum: { numerator: 0, denominator: 1 } };

  const some = () => vector(dimension, () => extreme(random));
  const first = some();
  const updates = Array.from({ length: runners }, (_, i) => (i === 0 || shape.same ? first : some()));
  const firstRoot = rootOf(LEAF.update, first);
  const updateRoots = updates.map((update) => (update === first ? firstRoot : rootOf(LEAF.update, update)));
  // Where the updates reach the edge, the step would leave the range from anywhere but zero.
  const params = vector(dimension, (i) =>
    (shape.same ? updates.slice(0, 1) : updates).some((update) => Math.abs(update[i] ?? 0) > 2 ** 29)
      ? 0
      : Math.floor((random() - 0.5) * 2 ** 31),
  );
  const fixed = { graphHash: hash('graph'), stepsHash: hash('steps') };
  const base = { ...fixed, paramsRoot: rootOf(LEAF.params, params), stateRoot: ZERO_HASH };
  const creation = {
    job,
    coordinator: addressOf(stack.member),
    specHash,
    parentVersion: null,
    genesisVersion: versionId(sha256, base),
    manifestHash: hash('manifest'),
    archiveId,
    rounds: 4,
    budget: 4_000n,
    terms,
  };
  await sender.send(`${job} create`, calls.jobs.create({ ...creation, bond: 4_000n }));

  const wallets = Array.from({ length: runners }, (_, i) => new Wallet(id(`runner ${i}`))).sort((a, b) =>
    addressOf(a) < addressOf(b) ? -1 : 1,
  );
  const samples = wallets.map(() => 1 + Math.floor(random() ** 4 * 2 ** 24));
  const selection = wallets
    .map((wallet, i) => ({ runner: addressOf(wallet), maxSamples: samples[i] ?? 1 }))
    .filter((_, i) => !lie.unselected?.includes(i));
  const opening = {
    job,
    round: 1,
    baseVersion: creation.genesisVersion,
    specHash,
    shift: weightShift(samples),
    selection,
  };
  lie.opening?.(opening);
  const opened = openHash(sha256, opening);
  await sender.send(`${job} open`, calls.jobs.open(job, 1, opened));

  let headers: ManifestHeader[] = await Promise.all(
    wallets.map(async (wallet, index) => {
      const statement = {
        job,
        round: 1,
        openHash: opened,
        updateRoot: updateRoots[index] ?? ZERO_HASH,
        dimension,
        samples: samples[index] ?? 1,
        steps: 7,
      };
      const domain = updateDomain(deployment.chainId, deployment.jobs);
      return {
        ...statement,
        index,
        runner: addressOf(wallet),
        weight: weightOf(statement.samples, opening.shift),
        signature: (await wallet.signTypedData(domain, updateTypes, statement)) as Hex,
        training: { onnxruntime: '1.30.0', provider: 'cpu', cpu: 'avx2', threads: 1 },
      };
    }),
  );
  if (lie.headers) headers = lie.headers(headers);
  const { levels } = aggregationTree(headers.length);
  const sums = exactSums(levels, headers, updates, shape.robust);
  lie.sums?.(sums);
  const total = headers.reduce((sum, { weight }) => sum + weight, 0);
  const top = sums.at(-1)?.[0] ?? new Float64Array(dimension);
  const zero = new Int32Array(dimension);
  const stepped = shape.momentum
    ? fedAvgM(params, zero, top, total, rate, shape.momentum)
    : { params: fedAvg(params, top, total, rate), velocity: null };
  lie.params?.(stepped.params);
  if (stepped.velocity) lie.velocity?.(stepped.velocity);
  const version = {
    ...fixed,
    paramsRoot: rootOf(LEAF.params, stepped.params),
    stateRoot: stepped.velocity ? rootOf(LEAF.state, stepped.velocity) : ZERO_HASH,
  };
  const { paramsRoot } = version;
  lie.version?.(version);
  const { opening: word } = await chain.commitments(job, 1);
  const facts = {
    opening: word ?? ZERO_HASH,
    headers,
    sumRoots: sums.map((level) => level.map((sum) => toHex(valuesRoot(sha256, LEAF.sum, sum)))),
    closing: {
      job,
      round: 1,
      rootHeader: ZERO_HASH,
      paramsRoot,
      versionId: versionId(sha256, version),
      manifestHash: hash('manifest 1'),
      archiveId,
      block: 0,
      transaction: ZERO_HASH,
    },
  };
  facts.closing.rootHeader = new Evidence(sha256, facts).root;
  if (lie.root) {
    const root = lie.root(new Evidence(sha256, facts).node({ level: levels.length - 1, index: 0 }));
    facts.closing.rootHeader = toHex(
      nodeHeader(sha256, {
        sumRoot: fromHex(root.sumRoot),
        weight: root.weight,
        count: Number(root.count),
        children: root.children.map((child) => fromHex(child)),
      }),
    );
  }
  const evidence = new Evidence(sha256, facts);
  await sender.send(`${job} close`, calls.jobs.close(facts.closing));
  const { closing: genesis } = await chain.commitments(job, 0);
  const tree = selectionTree(sha256, selection);
  const fields = creationFields(creation);
  return {
    job,
    evidence,
    updates,
    sums,
    opened: {
      previous: genesis ?? ZERO_HASH,
      opening: {
        ...opening,
        round: BigInt(opening.round),
        shift: BigInt(opening.shift),
        count: BigInt(selection.length),
        selectionRoot: toHex(tree.root),
      },
    },
    openHash: opened,
    /** What a step is judged by, in one chunk. */
    stepEvidence: (chunk: number) => {
      const of = (type: 2 | 6, values: Int32Array) => chunkOf(sha256, type, values, chunk);
      const [old, next] = [of(LEAF.params, params), of(LEAF.params, stepped.params)];
      const velocity = stepped.velocity ? of(LEAF.state, stepped.velocity) : null;
      return [
        evidence.place(evidence.rootName),
        chunkOf(sha256, LEAF.sum, top, chunk),
        {
          before: fields,
          base: versionInput(base),
          version: versionInput(version),
          params: old.values,
          paramsProof: old.proof,
          newParams: next.values,
          newParamsProof: next.proof,
          velocity: '0x' as Hex,
          velocityProof: [],
          newVelocity: velocity?.values ?? ('0x' as Hex),
          newVelocityProof: velocity?.proof ?? [],
        },
      ] as const;
    },
    selected: (i: number) => {
      const entry = selection[i];
      if (!entry) throw new RangeError(`The selection has no line ${i}.`);
      return {
        index: BigInt(i),
        runner: entry.runner,
        maxSamples: BigInt(entry.maxSamples),
        proof: tree.proof(i).map(toHex),
      };
    },
  };
}

function versionInput({ graphHash, paramsRoot, stepsHash, stateRoot }: Record<string, Hex>) {
  return {
    graphHash: graphHash ?? ZERO_HASH,
    paramsRoot: paramsRoot ?? ZERO_HASH,
    stepsHash: stepsHash ?? ZERO_HASH,
    stateRoot: stateRoot ?? ZERO_HASH,
  };
}

function rootOf(type: Parameters<typeof valuesRoot>[1], values: Int32Array): Hex {
  return toHex(valuesRoot(sha256, type, values));
}

function vector(length: number, value: (index: number) => number): Int32Array {
  return Int32Array.from({ length }, (_, index) => value(index));
}

/** Small values mostly, and every edge of the range. */
function extreme(random: () => number): number {
  const kind = random();
  if (kind < 0.1) return limit;
  if (kind < 0.2) return -limit;
  if (kind < 0.25) return 0;
  return Math.floor((random() - 0.5) * 2 ** (1 + Math.floor(random() * 31)));
}

/** mulberry32. */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
