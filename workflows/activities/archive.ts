import { canonicalBytes } from '#core/canonicalJson.js';
import { fromHex, type Hex } from '#core/hex.js';
import type { JobSpec } from '#core/jobSpec.js';
import { manifestHash, type RoundManifest } from '#core/manifest.js';
import type { ModelRef } from '#core/messages.js';
import { apportion, roundBudget } from '#core/rewards.js';
import { seal } from '#services/sealing.js';
import { sha256 } from '#services/sha256.js';
import type { ArchivedModel, ArchivedRound, ArchiveRoundInput, PreparedJob } from '../types.js';
import type { Dependencies } from './dependencies.js';

/** Tags by which GraphQL finds what we archived. */
export function archiveTags(kind: string, job: Hex, more: Record<string, string>): Record<string, string> {
  return { 'App-Name': 'Roundtable', Kind: kind, Job: job, 'Content-Type': 'application/octet-stream', ...more };
}

/** The bytes as they are archived: for the spec's recipients only, or in the clear. */
export function sealFor(spec: JobSpec, bytes: Uint8Array, context: Hex): Uint8Array {
  const { recipients } = spec.archive;
  if (!recipients) return bytes;
  return seal(
    bytes,
    recipients.map(({ member, publicKey }) => ({ id: member, publicKey: fromHex(publicKey, 32) })),
    context,
  );
}

export async function archiveModel(
  deps: Dependencies,
  input: { prepared: PreparedJob; round: number; version: ModelRef },
): Promise<ArchivedModel> {
  const { prepared, round, version } = input;
  const put = async (kind: string, sha: Hex) => {
    const bytes = sealFor(prepared.spec, await deps.artifacts.get(sha), sha);
    const tags = archiveTags(kind, prepared.job, { Round: String(round), Version: version.versionId });
    return (await deps.archive.put(bytes, tags)).id;
  };
  const [model, state] = await Promise.all([
    put('model', version.params),
    version.state ? put('state', version.state) : null,
  ]);
  return { model, state };
}

/** Writes and archives the manifest: everything from which the round can be recomputed (PROTOCOL 7). */
export async function archiveRound(deps: Dependencies, input: ArchiveRoundInput): Promise<ArchivedRound> {
  const manifest = roundManifestOf(deps, input);
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

function roundManifestOf(deps: Dependencies, input: ArchiveRoundInput): RoundManifest {
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
        training: update.training,
      })),
      missing,
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
