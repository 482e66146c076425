import type { Hex } from '#core/hex.js';
import * as core from '#core/lineage.js';
import type { VersionView } from '#core/views.js';
import type { ChainVersion } from './verify/lineage.js';

/** A version as it is drawn, whoever told of it. */
export interface LineageVersion {
  /** The version's id; a void one has its block behind it, since the id may come again. */
  id: string;
  version: Hex;
  parent: Hex | null;
  lineage: string;
  number: number;
  job: Hex;
  round: number;
  accuracy: number | null;
  isVoid: boolean;
  /** Orders versions of one number: text of the time or of the block. */
  order: string;
}

export type LineageRow = core.LineageRow<LineageVersion>;

/** The rows of one lineage, newest first. */
export function lineageRows(versions: readonly LineageVersion[]): LineageRow[] {
  const rows = [...versions].sort((a, b) => b.number - a.number || b.order.localeCompare(a.order));
  return core.lineageRows(
    rows,
    ({ id }) => id,
    ({ parent }) => parent,
  );
}

/** What the API lists, with what the chain says is void. @param chain empty while it was not asked */
export function listedVersions(
  views: readonly VersionView[],
  chain: readonly ChainVersion[],
): LineageVersion[] {
  const listed = new Map(views.map((view) => [view.model.versionId as Hex, view]));
  // The chain knows the jobs of all members, the API those of this stack.
  const names = new Map(views.map(({ job, lineage }) => [job as Hex, lineage]));
  const gone = chain.filter(({ isVoid, job }) => isVoid && names.has(job));
  const standing = new Set(chain.filter(({ isVoid }) => !isVoid).map(({ version }) => version));
  const isVoid = new Set(gone.map(({ version }) => version).filter((version) => !standing.has(version)));
  return [
    ...views.map(({ model, parent, lineage, number, job, round, accuracy, updatedAt }) => ({
      id: model.versionId,
      version: model.versionId,
      parent,
      lineage,
      number,
      job,
      round,
      accuracy,
      isVoid: isVoid.has(model.versionId),
      order: updatedAt,
    })),
    ...chainVersions(
      gone
        .filter(({ version }) => !listed.has(version))
        .map((version) => ({ ...version, lineage: names.get(version.job) ?? null })),
    ),
  ];
}

/** What the chain alone tells; a lineage whose name no gateway has is called by its job. */
export function chainVersions(versions: readonly ChainVersion[]): LineageVersion[] {
  return versions.map(({ block, lineage, ...version }) => ({
    ...version,
    id: version.isVoid ? `${version.version}/${block}` : version.version,
    lineage: lineage ?? `job ${version.job.slice(0, 10)}`,
    order: String(block).padStart(12, '0'),
  }));
}
