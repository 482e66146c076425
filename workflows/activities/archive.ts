import { canonicalBytes } from '#core/canonicalJson.js';
import { fromHex, type Hex } from '#core/hex.js';
import type { JobSpec } from '#core/jobSpec.js';
import { manifestHash, type RoundManifest } from '#core/manifest.js';
import type { ModelRef } from '#core/messages.js';
import { apportion, roundBudget } from '#core/rewards.js';
import { parseMessage } from '#core/schema.js';
import { sealList } from '#core/seal.js';
import { seal } from '#services/sealing.js';
import { sha256 } from '#services/sha256.js';
import type { ArchivedModel, ArchivedRound, ArchiveRoundInput, PreparedJob } from '../types.js';
import type { Dependencies } from './dependencies.js';

/** Tags by which GraphQL finds what we archived. */
export function archiveTags(kind: string, job: Hex, more: Record<string, string>): Record<string, string> {
  return {
    'App-Name': 'Roundtable',
    Kind: kind,
    Job: job,
    'Content-Type': 'application/octet-stream',
    ...more,
  };
}

/**
 * Archives a parameter or state file: in the clear, or sealed for the spec's recipients. Sealing is random, so a
 * repeat after a crash looks for the copy that is there instead of making other bytes.
 */
export async function archiveVersionFile(
  deps: Dependencies,
  spec: JobSpec,
  sha: Hex,
  tags: Record<string, string>,
): Promise<string> {
  const bytes = await deps.artifacts.get(sha);
  const { recipients } = spec.archive;
  if (!recipients) return (await deps.archive.put(bytes, tags)).id;
  const [copy] = await deps.archive.find(tags, { owners: [deps.archiveOwner], limit: 1 });
  if (copy) return copy.id;
  const readers = recipients.map(({ member, publicKey }) => ({
    id: member,
    publicKey: fromHex(publicKey, 32),
  }));
  return (await deps.archive.put(seal(bytes, readers, sha), tags)).id;
}

export async function archiveModel(
  deps: Dependencies,
  input: { prepared: PreparedJob; round: number; version: ModelRef },
): Promise<ArchivedModel> {
  const { prepared, round, version } = input;
  const put = (kind: string, sha: Hex) =>
    archiveVersionFile(
      deps,
      prepared.spec,
      sha,
      archiveTags(kind, prepared.job, { Round: String(round), Version: version.versionId }),
    );
  const [model, state] = await Promise.all([
    put('model', version.params),
    version.state ? put('state', version.state) : null,
  ]);
  return { model, state };
}

/** Writes and archives the manifest: everything from which the round can be recomputed (PROTOCOL 7). */
export async function archiveRound(deps: Dependencies, input: ArchiveRoundInput): Promise<ArchivedRound> {
  const manifest = roundManifestOf(deps, input, await sealsOf(deps, input));
  const hash = manifestHash(sha256, manifest);
  const { job } = input.prepared;
  const { id } = await deps.archive.put(
    canonicalBytes(manifest),
    archiveTags('manifest', job, {
      Round: String(input.opening.round),
      'Manifest-Hash': hash,
      'Content-Type': 'application/json',
    }),
  );
  return {
    archive: { model: input.model.model, manifest: id, manifestHash: hash },
    shares: manifest.hashed.rewards.shares,
  };
}

type Seals = Pick<RoundManifest['hashed'], 'seals'>;

/** The round's seals, if it has any, with their list as runners were shown it. */
async function sealsOf({ artifacts }: Dependencies, { seals }: ArchiveRoundInput): Promise<Seals> {
  if (!seals) return {};
  const list = parseMessage(
    sealList,
    JSON.parse(new TextDecoder().decode(await artifacts.get(seals.list))),
    'The list of seals',
  );
  return { seals: { list, signature: seals.signature } };
}

function roundManifestOf(deps: Dependencies, input: ArchiveRoundInput, seals: Seals): RoundManifest {
  const { prepared, opening, base, updates, aggregate, model, missing } = input;
  const { version, weights, sumRoots, rootHeader } = aggregate;
  const { budget } = prepared.spec.rewards;
  const purse = roundBudget(BigInt(budget), prepared.spec.rounds, opening.round);
  const units = weights.map(BigInt);
  const amounts = apportion(purse, units);
  return {
    hashed: {
      kind: 'round',
      protocol: 1,
      coordinator: deps.coordinator,
      domain: deps.domain,
      spec: prepared.spec,
      opening,
      base: hashesOf(base),
      version: hashesOf(version),
      sumRoots,
      rootHeader,
      headers: updates.map((update, index) => ({
        index,
        runner: update.runner,
        updateRoot: update.updateRoot,
        dimension: update.dimension,
        samples: update.samples,
        steps: update.steps,
        weight: weights[index] ?? 0,
        signature: update.signature,
        ...(seals.seals && update.salt !== undefined && { salt: update.salt }),
        training: update.training,
      })),
      missing,
      ...seals,
      rewards: {
        budget: String(purse),
        shares: updates.map(({ runner }, index) => ({
          runner,
          units: String(units[index] ?? 0n),
          amount: String(amounts[index] ?? 0n),
        })),
      },
      model: { sha256: version.params, archive: model.model },
      state: version.state && model.state ? { sha256: version.state, archive: model.state } : null,
      previousManifest: input.previousManifest,
    },
    measured: {
      accuracy: input.accuracy,
      loss: input.loss,
      ...(input.startedAt !== undefined && { startedAt: input.startedAt }),
      seconds: input.seconds,
      runners: updates.map(({ runner, seconds, bytes, loss, saturated }) => ({
        runner,
        seconds,
        bytes,
        loss,
        saturated,
      })),
    },
  };
}

function hashesOf({ versionId, graph, paramsRoot, stepsHash, stateRoot }: ModelRef) {
  return { versionId, graph, paramsRoot, stepsHash, stateRoot };
}
