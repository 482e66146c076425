/** What the API said, field by field, against chain and manifest: it may lie in any of them. */
import { hashJson } from '#core/canonicalJson.js';
import type { Hex } from '#core/hex.js';
import type { GenesisManifest, RoundManifest } from '#core/manifest.js';
import type { ModelRef, TransactionRecord } from '#core/messages.js';
import type { JobView, RoundView, VersionView } from '#core/views.js';
import type { Checks } from './checks.js';
import type { ChainView, ClosedRound, CreatedJob } from './contracts.js';
import type { Said } from './messages.js';
import { sha256 } from './sha256.js';

/** What the chain says of the version: the closing of a round, or the creation of a job. */
export interface Anchor {
  job: CreatedJob;
  closed: ClosedRound | null;
}

interface Truth extends Anchor {
  version: Hex;
  manifest: RoundManifest | GenesisManifest;
}

/** @throws Unreachable when the node cannot be asked for receipts */
export async function compareSaid(checks: Checks, chain: ChainView, said: Said, truth: Truth): Promise<void> {
  if (said.version) {
    const field = new Field(checks, "The API's word");
    compareVersion(field, said.version, truth);
    const number = (await chain.baseNumber(truth.job)) + (truth.closed?.round ?? 0);
    field.is('number', 'chain, counted', number, said.version.number);
  }
  const { manifest, closed } = truth;
  if (said.round && closed && manifest.hashed.kind === 'round') {
    const field = new Field(checks, "The API's word on the round");
    compareRound(field, said.round, truth, manifest as RoundManifest, closed);
    const opened = await chain.opened(closed.job, closed.round);
    field.is('opening', 'chain', opened?.openHash ?? null, said.round.openHash);
    await compareTransactions(field, chain, said.round.transactions, [
      opened?.transaction ?? null,
      closed.transaction,
    ]);
    compareCredits(field, said, manifest as RoundManifest, closed);
  }
  if (said.job) await compareJob(new Field(checks, "The API's word on the job"), chain, said.job, truth);
}

/** One group of comparisons; what is measured and not hashed can only be seen to be the same. */
class Field {
  constructor(
    private readonly checks: Checks,
    private readonly group: string,
  ) {}

  is(name: string, how: string, expected: unknown, got: unknown): void {
    this.checks.same(this.group, name, `${how} | API`, expected ?? null, got ?? null);
  }

  unchecked(name: string, why: string): void {
    this.checks.unchecked(this.group, name, 'not checked', why);
  }
}

const measuredBy = 'manifest, as the coordinator measured it';

function compareVersion(field: Field, said: VersionView, truth: Truth): void {
  const { job, closed, manifest } = truth;
  const { hashed, measured } = manifest;
  compareModel(field, said.model, truth);
  field.is('job', 'chain', job.job, said.job);
  field.is('round', 'chain', closed?.round ?? 0, said.round);
  field.is(
    'parent',
    'manifest',
    hashed.kind === 'round' ? hashed.base.versionId : hashed.parent,
    said.parent,
  );
  field.is('lineage', 'manifest', hashed.spec.name, said.lineage);
  compareArchive(field, said.archive, truth);
  field.is('accuracy', measuredBy, measured.accuracy, said.accuracy);
}

function compareModel(field: Field, said: ModelRef, { version, closed, manifest: { hashed } }: Truth): void {
  field.is('version id', 'asked for', version, said.versionId);
  field.is('graph', 'manifest', hashed.version.graph, said.graph);
  field.is('file hash', 'manifest', hashed.model.sha256, said.params);
  field.is('parameter root', 'chain', closed?.paramsRoot ?? hashed.version.paramsRoot, said.paramsRoot);
  field.is('steps', 'manifest', hashed.version.stepsHash, said.stepsHash);
  field.is('state root', 'manifest', hashed.version.stateRoot, said.stateRoot);
  field.is('state file', 'manifest', hashed.kind === 'round' ? hashed.state?.sha256 : null, said.state);
}

function compareArchive(
  field: Field,
  said: { manifest: string; manifestHash: string; model: string } | null,
  { job, closed, manifest: { hashed } }: Truth,
): void {
  field.is('manifest id', 'chain', (closed ?? job).archive, said?.manifest);
  field.is('manifest hash', 'chain', (closed ?? job).manifestHash, said?.manifestHash);
  field.is('model id', 'manifest', hashed.model.archive, said?.model);
}

function compareRound(
  field: Field,
  said: RoundView,
  truth: Truth,
  { hashed, measured }: RoundManifest,
  closed: ClosedRound,
): void {
  field.is('job', 'chain', closed.job, said.job);
  field.is('round', 'chain', closed.round, said.round);
  field.is('root header', 'chain', closed.rootHeader, said.rootHeader);
  if (said.version) compareModel(field, said.version, truth);
  compareArchive(field, said.archive, truth);
  field.is('accuracy', measuredBy, measured.accuracy, said.accuracy);
  field.is('loss', measuredBy, measured.loss, said.loss);
  for (const [part, seconds] of Object.entries(measured.seconds))
    field.is(`seconds, ${part}`, measuredBy, seconds, said.seconds[part as keyof typeof measured.seconds]);
  field.unchecked('seconds, archive, anchor, total', 'they passed after the manifest was written');
  const there = said.participants.filter(({ state }) => state === 'done');
  field.is('who was there', 'manifest', byRunner(hashed.headers), byRunner(there));
  const selected = new Set<string>(hashed.opening.selection.map(({ runner }) => runner));
  const strangers = said.participants.filter(({ runner }) => !selected.has(runner));
  field.is('who was asked', 'manifest', [], byRunner(strangers));
  const absent = said.participants.filter(({ state }) => state !== 'done');
  const isMissing = new Set<string>(hashed.missing.map(({ runner }) => runner));
  for (const { runner, state } of absent)
    field.is(`state of ${runner}`, 'manifest', isMissing.has(runner) ? 'missing' : 'done', state);
  field.is('who was missing, and why', 'manifest', inOrder(hashed.missing), inOrder(said.missing));
  const known = new Map(measured.runners.map((entry) => [entry.runner, entry]));
  const samples = new Map(hashed.headers.map((header) => [header.runner, header.samples]));
  for (const { runner, ...of } of there) {
    const truly = known.get(runner);
    field.is(`samples of ${runner}`, 'manifest, signed', samples.get(runner), of.samples);
    field.is(`loss of ${runner}`, measuredBy, truly?.loss, of.loss);
    field.is(`time of ${runner}`, measuredBy, truly?.seconds, of.seconds);
    field.is(`bytes of ${runner}`, measuredBy, truly?.bytes, of.bytes);
  }
  field.is('problem', 'closed on chain', null, said.problem);
}

async function compareTransactions(
  field: Field,
  chain: ChainView,
  said: readonly TransactionRecord[],
  expected: readonly (Hex | null)[],
): Promise<void> {
  const hashes = expected.filter((hash) => hash !== null);
  field.is(
    'transactions',
    'chain',
    hashes,
    said.map(({ hash }) => hash),
  );
  const purposes = said.map(({ purpose }) => purpose);
  field.is('purposes', 'order on chain', ['open', 'close'], purposes);
  await compareReceipts(field, chain, said);
}

async function compareReceipts(
  field: Field,
  chain: ChainView,
  said: readonly TransactionRecord[],
): Promise<void> {
  for (const { purpose, hash, gas, block } of said) {
    const receipt = await chain.rpc.receipt(hash);
    field.is(`gas of ${purpose}`, 'receipt', receipt?.gas, gas);
    field.is(`block of ${purpose}`, 'receipt', receipt?.block, block);
  }
}

function compareCredits(
  field: Field,
  { credits }: Said,
  { hashed }: RoundManifest,
  closed: ClosedRound,
): void {
  const shares = new Map<string, { units: string; amount: string }>(
    hashed.rewards.shares.map((share) => [share.runner, share]),
  );
  for (const credit of credits) {
    if (credit.job !== closed.job || credit.round !== closed.round) continue;
    const share = shares.get(credit.runner);
    field.is(`earned by ${credit.runner}`, 'manifest', share?.amount, credit.amount);
    field.is(`units of ${credit.runner}`, 'manifest', share?.units, credit.units);
    field.is(`credit of ${credit.runner}, manifest`, 'chain', closed.manifestHash, credit.manifestHash);
  }
}

async function compareJob(
  field: Field,
  chain: ChainView,
  said: JobView,
  { job, closed, manifest, version }: Truth,
): Promise<void> {
  field.is('job', 'chain', job.job, said.job);
  field.is('spec', 'chain', job.specHash, hashJson(sha256, said.spec));
  field.is('coordinator', 'chain', job.coordinator, said.coordinator);
  field.is('first version', 'chain', job.genesisVersion, said.base?.versionId ?? job.genesisVersion);
  await compareReceipts(field, chain, said.transactions);
  // A job's own figures are those of its newest round.
  if (!closed || said.round !== closed.round) return;
  field.is('version', 'chain', version, said.version?.versionId);
  field.is('manifest id', 'chain', closed.archive, said.archive?.manifest);
  field.is('accuracy', measuredBy, manifest.measured.accuracy, said.accuracy);
  field.is('loss', measuredBy, manifest.measured.loss, said.loss);
}

const byRunner = (entries: readonly { runner: string }[]): string[] =>
  entries.map(({ runner }) => runner).sort();

function inOrder(missing: readonly { runner: string; code: string; reason: string }[]): string[] {
  return missing.map(({ runner, code, reason }) => `${runner} ${code}: ${reason}`).sort();
}
