import * as core from '#core/lineage.js';
import type { VersionView } from '#core/views.js';

export type LineageRow = core.LineageRow<VersionView>;

/** The rows of one lineage, newest first. */
export function lineageRows(versions: readonly VersionView[]): LineageRow[] {
  const rows = [...versions].sort((a, b) => b.number - a.number || b.updatedAt.localeCompare(a.updatedAt));
  return core.lineageRows(
    rows,
    ({ model }) => model.versionId,
    ({ parent }) => parent,
  );
}
