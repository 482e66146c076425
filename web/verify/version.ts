/** One model version, from chain and archive alone, and against them what the API said of it. */
import { hashJson } from '#core/canonicalJson.js';
import { aggregationHeaders } from '#core/commitment.js';
import { fromHex, toHex, ZERO_HASH, type Hex } from '#core/hex.js';
import { stepsHash } from '#core/layout.js';
import type { GenesisManifest, RoundManifest } from '#core/manifest.js';
import { LEAF, valuesRoot } from '#core/merkle.js';
import { versionId } from '#core/model.js';
import { openHash } from '#core/openHash.js';
import { apportion, roundBudget } from '#core/rewards.js';
import { decodeVersion } from '#core/versionFile.js';
import type { Gateways } from './archive.js';
import type { Checks } from './checks.js';
import { closingCommitment, commitmentOf, genesisCommitment, openingCommitment } from './commitments.js';
import type { ChainView, ClosedRound } from './contracts.js';
import type { Said } from './messages.js';
import { Unreachable } from './rpc.js';
import { compareSaid, type Anchor } from './said.js';
import { fileSha256, sha256 } from './sha256.js';
import { updateSigner } from './signature.js';

export interface VersionSources {
  chain: ChainView;
  archive: Gateways;
  said: Said;
  /** Turn over one bit of the model file before it is looked at, to see that it is noticed. */
  flip: boolean;
}

type Round = RoundManifest['hashed'];
type Genesis = GenesisManifest['hashed'];

/** @throws Unreachable when node or archive cannot be asked */
export async function verifyVersion(checks: Checks, sources: VersionSources, version: Hex): Promise<void> {
  const { chain, archive, said, flip } = sources;
  const anchor = await checkAnchor(checks, chain, version);
  if (!anchor) return;
  const { job, closed } = anchor;
  const named = closed ?? job;
  const manifest = (await archive.json(named.archive)) as RoundManifest | GenesisManifest;
  const hash = attempt(() => hashJson(sha256, manifest.hashed));
  const trusted = checks.same(
    'Manifest',
    'manifest hash',
    'chain | SHA-256 of the archived manifest',
    named.manifestHash,
    hash,
  );
  await compareSaid(checks, chain, said, { ...anchor, version, manifest });
  // Behind a manifest with another hash nothing has a meaning: whoever changed it could have changed all of it.
  if (!trusted) return;
  const { hashed } = manifest;
  checks.same('Manifest', 'chain id', 'node | manifest', chain.contracts.chainId, hashed.domain.chainId);
  checks.same('Manifest', 'Jobs contract', 'settings | manifest', chain.contracts.jobs, hashed.domain.jobs);
  checks.same('Manifest', 'coordinator', 'chain | manifest', job.coordinator, hashed.coordinator);
  checks.same(
    'Manifest',
    'spec hash',
    'chain | SHA-256 of the spec',
    job.specHash,
    attempt(() => hashJson(sha256, hashed.spec)),
  );
  if (hashed.kind === 'round' && closed) await checkRound(checks, chain, closed, hashed);
  await checkModel(checks, archive, version, closed?.paramsRoot ?? hashed.version.paramsRoot, hashed, flip);
}

async function checkAnchor(checks: Checks, chain: ChainView, version: Hex): Promise<Anchor | null> {
  const { rpc, contracts } = chain;
  const onChain = await rpc.chainId();
  if (!checks.same('Chain', 'chain id', 'settings | node', contracts.chainId, onChain)) return null;
  const closed = await chain.closedVersion(version);
  const job = await chain.createdJob(closed ? { job: closed.job } : { genesisVersion: version });
  if (!job) {
    checks.wrong(
      'Chain',
      'anchored',
      'RoundClosed and JobCreated events',
      version,
      'the chain knows no such version',
    );
    return null;
  }
  if (!closed) {
    const { closing } = await chain.commitments(job.job, 0);
    checks.same(
      'Chain',
      "commitment of the job's creation",
      'storage | keccak256 over the event',
      commitmentOf(closing),
      genesisCommitment(job),
    );
    return { job, closed };
  }
  const [latest, opened, before, stored] = await Promise.all([
    chain.latestRound(closed.job),
    chain.opened(closed.job, closed.round),
    chain.commitments(closed.job, closed.round - 1),
    chain.commitments(closed.job, closed.round),
  ]);
  const opening = openingCommitment(before.closing, closed.job, closed.round, opened?.openHash ?? ZERO_HASH);
  checks.same(
    'Chain',
    'commitment of the opening',
    'storage | keccak256 over the event',
    commitmentOf(stored.opening),
    opening,
  );
  checks.same(
    'Chain',
    'commitment of the closing',
    'storage | keccak256 over the event',
    commitmentOf(stored.closing),
    closingCommitment(stored.opening, closed),
  );
  const stands = closed.round <= latest;
  checks.same(
    'Chain',
    'stands',
    'nobody convicted | rounds that count',
    'stands',
    stands ? 'stands' : 'void',
  );
  return { job, closed };
}

async function checkRound(
  checks: Checks,
  chain: ChainView,
  closed: ClosedRound,
  round: Round,
): Promise<void> {
  const { opening, headers, rewards, spec, domain } = round;
  const opened = (await chain.opened(closed.job, closed.round))?.openHash ?? ZERO_HASH;
  checks.same('Round', 'job', 'chain | manifest', closed.job, opening.job);
  checks.same('Round', 'round', 'chain | manifest', closed.round, opening.round);
  checks.same(
    'Round',
    'opening',
    'chain | SHA-256 over base, spec and selection',
    opened,
    attempt(() => openHash(sha256, opening)),
  );
  const root = attempt(() => {
    const sums = round.sumRoots.map((level) => level.map((sum) => fromHex(sum, 32)));
    return toHex(aggregationHeaders(sha256, headers, sums).at(-1)?.[0] ?? new Uint8Array());
  });
  checks.same('Round', 'root header', 'chain | SHA-256 tree over headers and sums', closed.rootHeader, root);
  const { job, round: number, openHash: signed } = opening;
  for (const { runner, signature, updateRoot, dimension, samples, steps } of headers) {
    const statement = { job, round: number, openHash: signed, updateRoot, dimension, samples, steps };
    const signer = attempt(() => updateSigner(domain, statement, signature) ?? 'no valid signature');
    checks.same('Round', `signature of ${runner}`, 'manifest | recovered from EIP-712', runner, signer);
  }
  const due = attempt(() => {
    const budget = roundBudget(BigInt(spec.rewards.budget), spec.rounds, number);
    return apportion(
      budget,
      headers.map(({ weight }) => BigInt(weight)),
    )
      .map(String)
      .join(', ');
  });
  checks.same(
    'Round',
    'rewards',
    'budget apportioned by weight | manifest',
    due,
    rewards.shares.map(({ amount }) => amount).join(', '),
  );
}

async function checkModel(
  checks: Checks,
  archive: Gateways,
  version: Hex,
  paramsRoot: Hex,
  hashed: Round | Genesis,
  flip: boolean,
): Promise<void> {
  const { graph, stepsHash: steps, stateRoot } = hashed.version;
  if (hashed.spec.archive.recipients !== null) {
    checks.unchecked('Model', 'model file', 'not opened', 'it is sealed for the members');
    const id = attempt(() => versionId(sha256, { ...hashed.version, graphHash: graph }));
    checks.same('Model', 'version id', 'chain | SHA-256 over the four commitments', version, id);
    return;
  }
  const file = await archive.get(hashed.model.archive);
  if (flip) flipBit(file);
  checks.same(
    'Model',
    'file',
    `manifest | SHA-256 of ${file.length.toLocaleString('en')} bytes`,
    hashed.model.sha256,
    await fileSha256(file),
  );
  let got = { paramsRoot: 'unreadable' as Hex, stepsHash: 'unreadable' as Hex };
  try {
    const { layout, params } = decodeVersion(file);
    got = {
      paramsRoot: toHex(valuesRoot(sha256, LEAF.params, params)),
      stepsHash: stepsHash(sha256, layout),
    };
    checks.same(
      'Model',
      'parameter tree',
      `chain | SHA-256 tree over ${params.length.toLocaleString('en')} int32`,
      paramsRoot,
      got.paramsRoot,
    );
  } catch (error) {
    checks.wrong('Model', 'parameter tree', 'chain | read from the file', paramsRoot, message(error));
  }
  checks.same('Model', 'steps', 'manifest | SHA-256 of the layout', steps, got.stepsHash);
  const id = attempt(() => versionId(sha256, { graphHash: graph, ...got, stateRoot }));
  checks.same('Model', 'version id', 'chain | SHA-256 over graph, parameters, steps and state', version, id);
}

/** The lowest bit of the last byte, which is a parameter. */
function flipBit(file: Uint8Array): void {
  const last = file.length - 1;
  file[last] = (file[last] ?? 0) ^ 1;
}

/** Data that a check chokes on is wrong data, not an accident. */
function attempt(work: () => string): string {
  try {
    return work();
  } catch (error) {
    if (error instanceof Unreachable) throw error;
    return message(error);
  }
}

const message = (error: unknown): string => (error instanceof Error ? error.message : String(error));
