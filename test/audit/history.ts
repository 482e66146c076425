/** A small honest history on a real chain: one job, three runners, rounds closed and paid; and ways to falsify it. */
import { id, type Wallet } from 'ethers';
import { canonicalBytes, hashJson } from '#core/canonicalJson.js';
import { aggregationTree } from '#core/commitment.js';
import { toHex, ZERO_HASH, type Hex } from '#core/hex.js';
import { createLayout, floatTensors, quantiseModel, stepsHash, type Layout } from '#core/layout.js';
import type { ClosingProposal } from '#core/attestations.js';
import { manifestHash, type EpochManifest, type ManifestHeader, type RoundManifest } from '#core/manifest.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import type { RoundOpening } from '#core/messages.js';
import { versionId } from '#core/model.js';
import { openHash } from '#core/openHash.js';
import { apportion, roundBudget } from '#core/rewards.js';
import { fedAvg, fedAvgM } from '#core/step.js';
import type { RobustRule } from '#core/robustRule.js';
import { robustSum } from '#core/robustTree.js';
import { ExactSum } from '#core/sum.js';
import { encodeUpdateFile } from '#core/updateFile.js';
import { encodeVersion } from '#core/versionFile.js';
import { weightOf, weightShift } from '#core/weights.js';
import { termsOf } from '#services/chain/terms.js';
import { sha256, sha256Hex } from '#services/sha256.js';
import { readModel } from '#trainer/model.js';
import { exactSums } from '#audit/evidence.js';
import type { UpdateSource } from '#audit/sources.js';
import { addressOf, admitMember, type ChainStack } from '#test/services/chainStack.js';
import { publishEpoch } from './epoch.js';
import { rootOf, type Falsification } from './falsification.js';
import { archiveOf, type HistoryArchive, type MemoryArchive } from './memoryArchive.js';
import { rounds, specOf } from './spec.js';
import { sealHeaders } from './sealing.js';
import { runnersOf, signUpdate, type Sign } from './signing.js';
import { mlp } from '../../examples/mnist/models.js';

export interface HistoryOptions<A extends HistoryArchive> {
  rule?: 'fedavg' | 'fedavgm';
  /** In place of the weighted sum. */
  robust?: RobustRule;
  archive: A;
  /** The version that the job goes on from; a new model without it. */
  parent?: { version: Hex; model: Opened };
  /** Of the job: it decides about the updates too. Made from the name unless told. */
  salt?: number;
  /** At most 20; 3 unless told. Only a chain's first history is paid, and it has 3. */
  runners?: number;
  /** The job has its runners seal first. */
  sealFirst?: boolean;
  /** Leaves the last round open. */
  dies?: boolean;
  /** Attesters that the job asks for, and their signatures of a closing by their places in the draw. */
  attesters?: number;
  attest?: (proposal: ClosingProposal) => Promise<{ place: number; signature: Hex }[]>;
  /** Where updates are put as soon as they are signed. */
  collected?: Map<Hex, Uint8Array>;
  /** Width of the model's hidden layer; 5 unless told, which gives 43 parameters. */
  hidden?: number;
}

type Opened = { layout: Layout; params: Int32Array };

export interface History<A extends HistoryArchive = MemoryArchive> {
  job: Hex;
  payer: Hex;
  /** Version ids of round 0, 1, 2. */
  versions: Hex[];
  /** Their parameters. */
  models: Opened[];
  archive: A;
  /** Archive ids of what was archived last under each name: graph, model N, manifest N, epoch. */
  archived: Record<string, string>;
  updates: Map<Hex, Uint8Array>;
  runners: Wallet[];
  /** What each round was opened with, and the headers that its runners signed, whatever became of them. */
  worked: { opening: RoundOpening; headers: ManifestHeader[] }[];
}

const samplesOf = (runner: number): number => [100, 60, 40][runner] ?? 30 + runner;
/** Makes the founder's member a coordinator that can pay; once per chain. */
export async function prepareCoordinator(stack: ChainStack): Promise<void> {
  await admitMember(stack, stack.member, { name: 'north', tokens: 10n ** 9n });
}

/** @param name makes the job's id; a chain can hold many histories */
export function writeHistory(
  stack: ChainStack,
  name: string,
  falsify: Falsification = {},
  options: Partial<HistoryOptions<MemoryArchive>> = {},
): Promise<History> {
  return writeHistoryTo(stack, name, { archive: archiveOf(stack), ...options }, falsify);
}

export async function writeHistoryTo<A extends HistoryArchive>(
  stack: ChainStack,
  name: string,
  { archive, rule = 'fedavg', robust, parent, ...options }: HistoryOptions<A>,
  falsify: Falsification = {},
): Promise<History<A>> {
  const { calls, deployment, chain } = stack;
  const sender = stack.sender(stack.member);
  const payer = addressOf(stack.member);
  const archived: Record<string, string> = {};
  const updates = options.collected ?? new Map<Hex, Uint8Array>();
  const job = id(name) as Hex;
  const domain = { chainId: deployment.chainId, jobs: deployment.jobs };
  // Versions are named by their content: without this, histories that share a chain would share versions.
  const salt = options.salt ?? Number.parseInt(job.slice(2, 10), 16);
  const keep = async (what: string, data: Uint8Array) => (archived[what] = await archive.put(data));

  const wallets = runnersOf(options.runners ?? 3);
  const onnx = mlp([4, options.hidden ?? 5, 3]);
  const model = readModel(onnx);
  const spec = {
    ...specOf(sha256Hex(onnx), rule, robust),
    ...(options.sealFirst && { sealFirst: true as const }),
  };
  const specHash = hashJson(sha256, spec);
  const weights = parent ? floatTensors(parent.model.layout, parent.model.params) : model.weights;
  const layout = createLayout(weights);
  let params = quantiseModel(layout, weights);
  falsify.start?.(params);
  const hashesOf = (values: Int32Array, state: Int32Array | null) => {
    const hashes = {
      graphHash: sha256Hex(model.graph),
      paramsRoot: toHex(valuesRoot(sha256, LEAF.params, values)),
      stepsHash: stepsHash(sha256, layout),
      stateRoot: state ? toHex(valuesRoot(sha256, LEAF.state, state)) : ZERO_HASH,
    };
    const { graphHash: graph, ...rest } = hashes;
    return { versionId: versionId(sha256, hashes), graph, ...rest };
  };
  let velocity: Int32Array | null = null;
  let version = hashesOf(params, null);
  const files = {
    sha256: sha256Hex(encodeVersion(layout, params)),
    archive: await keep('model 0', encodeVersion(layout, params)),
  };
  const genesis = {
    hashed: {
      kind: 'genesis' as const,
      protocol: 1 as const,
      coordinator: payer,
      domain,
      job,
      spec,
      specHash,
      parent: parent?.version ?? null,
      version,
      graph: { sha256: version.graph, archive: await keep('graph', model.graph) },
      model: files,
    },
    measured: { accuracy: null, loss: null },
  };
  let previousManifest = manifestHash(sha256, genesis);
  await sender.send(
    `${name} create`,
    calls.jobs.create({
      job,
      coordinator: payer,
      specHash,
      parentVersion: parent?.version ?? null,
      genesisVersion: version.versionId,
      manifestHash: previousManifest,
      archiveId: await keep('manifest 0', canonicalBytes(genesis)),
      rounds,
      budget: BigInt(spec.rewards.budget),
      terms: { ...termsOf(spec, layout.dimension), attesters: options.attesters ?? 0 },
      bond: BigInt(spec.rewards.budget),
    }),
  );

  const worked: History['worked'] = [];
  const versions = [version.versionId];
  const models = [{ layout, params }];
  const paid: EpochManifest['hashed']['rounds'] = [];
  for (let round = 1; round <= rounds; round++) {
    const wrong = round === 2 ? falsify : {};
    const fields = {
      job,
      round,
      baseVersion: version.versionId,
      specHash,
      shift: weightShift(wallets.map((_, i) => samplesOf(i))),
      selection: wallets.map((wallet, i) => ({ runner: addressOf(wallet), maxSamples: samplesOf(i) })),
    };
    wrong.opening?.(fields);
    const opening = { ...fields, openHash: openHash(sha256, fields) };
    await sender.send(`${name} open ${round}`, calls.jobs.open(job, round, opening.openHash));
    const sign: Sign = (runner, statement) =>
      signUpdate(runner, { job, domain, openHash: opening.openHash, dimension: layout.dimension }, statement);
    const deltas = wallets.map((_, i) =>
      Int32Array.from(
        { length: layout.dimension },
        (_value, at) => ((at * 7919 + i * 104_729 + round * 31 + salt) % 200_003) - 100_001,
      ),
    );
    let headers: ManifestHeader[] = await Promise.all(
      wallets.map(async (wallet, index) => {
        const delta = deltas[index] ?? new Int32Array();
        const updateRoot = toHex(valuesRoot(sha256, LEAF.update, delta));
        const runner = addressOf(wallet);
        updates.set(updateRoot, encodeUpdateFile({ job, round, runner, ring: 'i32', sections: { delta } }));
        const count = samplesOf(index);
        return {
          index,
          runner,
          updateRoot,
          dimension: layout.dimension,
          samples: count,
          steps: 10,
          weight: weightOf(count, opening.shift),
          signature: await sign(runner, { round, updateRoot, samples: count }),
          training: { onnxruntime: '1.30.0', provider: 'cpu', cpu: 'avx512', threads: 1 },
        };
      }),
    );
    const sealed = options.sealFirst
      ? sealHeaders(stack.member, wallets, { domain, opening }, headers)
      : null;
    headers = sealed?.headers ?? headers;
    worked.push({ opening, headers });
    if (options.dies && round === rounds) break;
    const counted = headers.map(({ weight }) => weight);
    const sum = robust ? robustSum(robust, deltas, counted) : new ExactSum(layout.dimension);
    if (sum instanceof ExactSum) sum.addAll(deltas, counted);
    wrong.sum?.(sum.values);
    if (spec.aggregation.rule === 'fedavg')
      params = fedAvg(params, sum.values, sum.weight, spec.aggregation.rate);
    else {
      const { rate, momentum } = spec.aggregation;
      const before: Int32Array = velocity ?? new Int32Array(params.length);
      ({ params, velocity } = fedAvgM(params, before, sum.values, sum.weight, rate, momentum));
      wrong.velocity?.(velocity);
    }
    wrong.params?.(params);
    const base = version;
    version = hashesOf(params, velocity);
    if (wrong.headers) headers = await wrong.headers(headers, sign);
    const sumRoots = sumRootsOf(headers.length, sum.values, deltas, headers, robust);
    const rootHeader = rootOf(headers, sumRoots);
    const units = headers.map(({ weight }) => BigInt(weight));
    const budget = roundBudget(BigInt(spec.rewards.budget), rounds, round);
    const amounts = apportion(budget, units);
    const file = encodeVersion(layout, params);
    const stateFile = velocity && encodeVersion(layout, velocity);
    const manifest: RoundManifest = {
      hashed: {
        kind: 'round',
        protocol: 1,
        coordinator: payer,
        domain,
        spec,
        opening,
        base,
        version,
        sumRoots,
        rootHeader,
        headers,
        missing: [],
        ...(sealed && { seals: sealed.seals }),
        rewards: {
          budget: String(budget),
          shares: headers.map(({ runner }, i) => ({
            runner,
            units: String(units[i]),
            amount: String(amounts[i]),
          })),
        },
        model: { sha256: sha256Hex(file), archive: await keep(`model ${round}`, file) },
        state: stateFile && {
          sha256: sha256Hex(stateFile),
          archive: await keep(`state ${round}`, stateFile),
        },
        previousManifest,
      },
      measured: { accuracy: null, loss: null, seconds: {}, runners: [] },
    };
    wrong.manifest?.(manifest.hashed);
    const { hashed } = manifest;
    previousManifest = manifestHash(sha256, manifest);
    const archiveId = await keep(`manifest ${round}`, canonicalBytes(manifest));
    const closing = {
      job,
      round,
      rootHeader: hashed.rootHeader,
      paramsRoot: hashed.version.paramsRoot,
      versionId: hashed.version.versionId,
      manifestHash: previousManifest,
      archiveId,
    };
    let close = calls.jobs.close(closing);
    if (options.attest) {
      await stack.anvil.provider.send('anvil_mine', ['0x2']);
      const { opening: word } = await chain.commitments(job, round);
      const signed = await options.attest({ ...closing, opening: word ?? ZERO_HASH });
      close = calls.jobs.closeAttested(word ?? ZERO_HASH, closing, signed, null);
    }
    await sender.send(`${name} close ${round}`, close);
    versions.push(hashed.version.versionId);
    models.push({ layout, params });
    paid.push({
      job,
      round,
      manifestHash: previousManifest,
      manifest: archiveId,
      shares: hashed.rewards.shares,
    });
  }
  await publishEpoch(stack, {
    name,
    payer,
    archive,
    domain,
    paid,
    falsify: falsify.epoch,
    epoch: (await chain.purse(payer)).latest + 1,
    archived,
  });
  return { job, payer, versions, models, archive, archived, updates, runners: wallets, worked };
}

/** One root for a round of up to 16 runners; of more, one for each node, of which a falsified sum changes the last. */
function sumRootsOf(
  runners: number,
  total: Float64Array,
  deltas: readonly Int32Array[],
  headers: readonly { weight: number }[],
  robust: RobustRule | undefined,
): Hex[][] {
  if (runners <= 16) return [[rootOfSum(total)]];
  const sums = exactSums(aggregationTree(runners).levels, headers, deltas, robust);
  return [...sums.slice(0, -1).map((level) => level.map(rootOfSum)), [rootOfSum(total)]];
}

const rootOfSum = (sum: Float64Array): Hex => toHex(valuesRoot(sha256, LEAF.sum, sum));

/** The updates of a history, as whoever holds them has them. */
export function updatesOf({ updates }: Pick<History, 'updates'>): UpdateSource {
  return ({ updateRoot }) => Promise.resolve(updates.get(updateRoot) ?? null);
}
