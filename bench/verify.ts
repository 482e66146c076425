import { Wallet } from 'ethers';
import { Checklist } from '#audit/checklist.js';
import { checkRound } from '#audit/round.js';
import { openSavedChain } from '#audit/savedChain.js';
import type { AuditChain, AuditSources } from '#audit/sources.js';
import { deploymentAt } from '#contracts/deployment.js';
import { aggregationHeaders, aggregationTree } from '#core/commitment.js';
import { canonicalBytes, hashJson } from '#core/canonicalJson.js';
import { updateDomain, updateTypes } from '#core/eip712.js';
import { toHex, ZERO_HASH, type Hex } from '#core/hex.js';
import { jobSpec } from '#core/jobSpec.js';
import { layoutOf, stepsHash } from '#core/layout.js';
import { manifestHash, type RoundManifest } from '#core/manifest.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import { versionId } from '#core/model.js';
import { openHash } from '#core/openHash.js';
import { apportion, roundBudget } from '#core/rewards.js';
import { fedAvg } from '#core/step.js';
import { ExactSum, sumBlock } from '#core/sum.js';
import { encodeUpdateFile } from '#core/updateFile.js';
import { encodeVersion } from '#core/versionFile.js';
import { weightOf, weightShift } from '#core/weights.js';
import { generateArchiveKey } from '#services/archive.js';
import { archiveSigner } from '#services/archiveKey.js';
import {
  dataTree,
  isDataOf,
  isSignedTransaction,
  signTransaction,
  type TransactionHeader,
} from '#services/archiveTransaction.js';
import { sha256, sha256Hex } from '#services/sha256.js';
import type { Emit } from './main.js';
import { median, randomInt32, timed } from './measure.js';

const RUNNERS = 16;
const DIMENSION = 1_663_370;
const REPETITIONS = 7;

/**
 * One round of 16 updates of 1.66 M parameters, verified with its updates as `model verify` does it (manifest,
 * signatures, trees, both model files with their data roots, sum and step), beside nothing but hashing and adding
 * the same updates, alternating in one process.
 */
export async function run(emit: Emit): Promise<void> {
  const { check, updates, weights } = await makeRound();
  const sum = new Float64Array(DIMENSION);
  const pure: number[] = [];
  const hashing: number[] = [];
  const verifying: number[] = [];
  let parts = new Map<string, number>();
  for (let i = 0; i < REPETITIONS; i++) {
    const hashed = timed(() => {
      for (const update of updates) valuesRoot(sha256, LEAF.update, update);
    });
    const added = timed(() => {
      sum.fill(0);
      sumBlock(sum, updates, weights);
    });
    hashing.push(hashed);
    pure.push(hashed + added);
    const began = performance.now();
    const list = await check();
    verifying.push((performance.now() - began) / 1000);
    parts = new Map(list.checks.map(({ check: name, ms }) => [name, ms / 1000]));
  }
  const seconds = median(verifying);
  const pureSeconds = median(pure);
  emit({
    what: 'one round verified with its updates',
    updates: RUNNERS,
    dimension: DIMENSION,
    seconds,
    parts: Object.fromEntries(parts),
    hashAndAddSeconds: pureSeconds,
    hashSeconds: median(hashing),
    ratio: seconds / pureSeconds,
    against: 'hashing the update trees and adding the updates, the same kernels in the same run; at most 3',
  });
}

/** An honest round over parameters that were all zero, with everything that its verification reads. */
async function makeRound() {
  const archive = await signedArchive();
  const coordinator = `0x${'c0'.repeat(20)}` as const;
  const domain = { chainId: 31_337, jobs: `0x${'0b'.repeat(20)}` as const };
  const job: Hex = `0x${'11'.repeat(32)}`;
  const spec = jobSpec.parse({
    version: 1,
    name: 'bench',
    data: { contract: 'images', input: [28, 28], classes: 10 },
    rounds: 1,
    start: 'model',
    model: { sha256: job },
    evaluation: null,
    training: { optimizer: { name: 'sgd', lr: 0.1 } },
    aggregation: { rule: 'fedavg', rate: { numerator: 1, denominator: 1 } },
    participants: { quorum: RUNNERS },
    rewards: { budget: '1000000' },
    archive: { recipients: null },
  });
  const layout = layoutOf([
    { name: 'layer.bias', shape: [512], exponent: -26 },
    { name: 'layer.weight', shape: [DIMENSION - 512], exponent: -26 },
  ]);
  const versionOf = (params: Int32Array) => {
    const hashes = {
      graphHash: job,
      paramsRoot: toHex(valuesRoot(sha256, LEAF.params, params)),
      stepsHash: stepsHash(sha256, layout),
      stateRoot: ZERO_HASH,
    };
    const { graphHash: graph, ...rest } = hashes;
    return { versionId: versionId(sha256, hashes), graph, ...rest };
  };
  const zeros = new Int32Array(DIMENSION);
  const base = versionOf(zeros);
  const wallets = Array.from({ length: RUNNERS }, (_, i) => new Wallet(sha256Hex(new Uint8Array([i])))).sort(
    (a, b) => (a.address.toLowerCase() < b.address.toLowerCase() ? -1 : 1),
  );
  const runners = wallets.map((wallet) => wallet.address.toLowerCase() as Hex);
  const samples = runners.map((_, i) => 600 + i);
  const fields = {
    job,
    round: 1,
    baseVersion: base.versionId,
    specHash: hashJson(sha256, spec),
    shift: weightShift(samples),
    selection: runners.map((runner, i) => ({ runner, maxSamples: samples[i] ?? 1 })),
  };
  const opening = { ...fields, openHash: openHash(sha256, fields) };
  const updates = runners.map((_, i) => randomInt32(DIMENSION, i));
  const headers = await Promise.all(
    wallets.map(async (wallet, index) => {
      const delta = updates[index] ?? zeros;
      const statement = {
        updateRoot: toHex(valuesRoot(sha256, LEAF.update, delta)),
        dimension: DIMENSION,
        samples: samples[index] ?? 1,
        steps: 60,
      };
      const signature = await wallet.signTypedData(updateDomain(domain.chainId, domain.jobs), updateTypes, {
        job,
        round: 1,
        openHash: opening.openHash,
        ...statement,
      });
      return {
        index,
        runner: runners[index] ?? '0x',
        ...statement,
        weight: weightOf(statement.samples, opening.shift),
        signature: signature as Hex,
        training: { onnxruntime: '1.30.0', provider: 'cpu' as const, cpu: 'avx2' as const, threads: 1 },
      };
    }),
  );
  const weights = headers.map(({ weight }) => weight);
  const sum = new ExactSum(DIMENSION);
  sum.addAll(updates, weights);
  const params = fedAvg(zeros, sum.values, sum.weight, { numerator: 1, denominator: 1 });
  const version = versionOf(params);
  const sumRoots = [[valuesRoot(sha256, LEAF.sum, sum.values)]];
  if (aggregationTree(RUNNERS).levels.length !== 1) throw new Error('The round has more than one node.');
  const rootHeader = toHex(aggregationHeaders(sha256, headers, sumRoots)[0]?.[0] ?? new Uint8Array());
  const budget = roundBudget(1_000_000n, 1, 1);
  const amounts = apportion(
    budget,
    weights.map((weight) => BigInt(weight)),
  );
  const file = encodeVersion(layout, params);
  const manifest: RoundManifest = {
    hashed: {
      kind: 'round',
      protocol: 1,
      coordinator,
      domain,
      spec,
      opening,
      base,
      version,
      sumRoots: sumRoots.map((level) => level.map(toHex)),
      rootHeader,
      headers,
      missing: [],
      rewards: {
        budget: String(budget),
        shares: runners.map((runner, i) => ({
          runner,
          units: String(weights[i]),
          amount: String(amounts[i]),
        })),
      },
      model: { sha256: sha256Hex(file), archive: await archive.put(file) },
      state: null,
      previousManifest: ZERO_HASH,
    },
    measured: { accuracy: null, loss: null, seconds: {}, runners: [] },
  };
  const archiveId = await archive.put(canonicalBytes(manifest));
  const files = new Map(
    updates.map((delta, i) => {
      const runner = runners[i] ?? '0x';
      const sections = { delta };
      return [runner, encodeUpdateFile({ job, round: 1, runner, ring: 'i32', sections })];
    }),
  );
  const contracts = { ...deploymentAt(coordinator, domain.chainId, 0), jobs: domain.jobs };
  const taken = { at: new Date(0).toISOString(), block: 0, from: [] };
  const sources: AuditSources<AuditChain> = {
    chain: openSavedChain({ format: 1, deployment: contracts, taken, jobs: [], payers: [] }),
    archive,
    hash: sha256,
    updateSource: ({ runner }) => Promise.resolve(files.get(runner) ?? null),
  };
  const anchor = { block: 0, transaction: ZERO_HASH };
  const closing = {
    job,
    round: 1,
    rootHeader,
    paramsRoot: version.paramsRoot,
    versionId: version.versionId,
    manifestHash: manifestHash(sha256, manifest),
    archiveId,
    ...anchor,
  };
  const graph = { sha256: job, archive: archiveId };
  const genesis = {
    manifest: {
      kind: 'genesis' as const,
      protocol: 1 as const,
      coordinator,
      domain,
      job,
      spec,
      specHash: fields.specHash,
      parent: null,
      version: base,
      graph,
      model: graph,
    },
    dimension: DIMENSION,
  };
  return {
    updates,
    weights,
    async check(): Promise<Checklist> {
      const list = new Checklist();
      const before = {
        record: genesis.manifest,
        model: { layout, params: zeros, velocity: null },
        manifestHash: ZERO_HASH,
      };
      const onChain = { round: 1, openHash: opening.openHash, coordinator, closing, ...anchor };
      const { recomputed } = await checkRound(list, sources, genesis, before, onChain);
      if (!recomputed) throw new Error('The sum was not recomputed.');
      return list;
    },
  };
}

/** Checks what it gives as services/archive.ts does what gateways give; only the network is missing. */
async function signedArchive() {
  const signer = archiveSigner(await generateArchiveKey());
  const files = new Map<string, { header: TransactionHeader; data: Uint8Array }>();
  return {
    async put(data: Uint8Array): Promise<string> {
      const { dataRoot } = await dataTree(data);
      const fields = { dataRoot, size: data.length, tags: {}, anchor: 'A'.repeat(43), reward: '0' };
      const header = await signTransaction(signer, fields);
      files.set(header.id, { header, data });
      return header.id;
    },
    async get(id: string): Promise<Uint8Array> {
      const file = files.get(id);
      if (!file || !(await isSignedTransaction(file.header)) || !(await isDataOf(file.header, file.data)))
        throw new Error(`${id} is not what was archived.`);
      return file.data;
    },
    find: () => Promise.resolve([]),
  };
}
