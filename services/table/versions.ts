import type { VersionId } from '#core/hex.js';
import { versionView, type VersionView } from '#core/views.js';
import { ordinal, type Items } from './items.js';
import { decodeView, encodeView } from './views.js';

/** Model versions by lineage and by id. Two rounds may end at one version id (nothing was learned). */
export interface VersionTable {
  /** Harmless when repeated. */
  putVersion(view: VersionView): Promise<void>;
  /** The latest place where this version stands. */
  getVersion(versionId: VersionId): Promise<VersionView | null>;
  /** Ascending by number; of all lineages without a name. */
  listVersions(lineage?: string): Promise<VersionView[]>;
  /** The version that a job with `start: latest` goes on from; strongly consistent. */
  latestVersion(lineage: string): Promise<VersionView | null>;
}

export function versionTable(items: Items): VersionTable {
  return {
    async putVersion(view) {
      const encoded = { seq: view.seq, view: encodeView(view) };
      await items.put({
        ...placeKey(view),
        list: 'versions',
        order: `${view.lineage}#${ordinal(view.number)}#${view.job}`,
        ...encoded,
      });
      await items.put({ ...versionKey(view.model.versionId), ...encoded });
      // A late repetition must not take the lineage back: within a job the number decides, between jobs the time.
      await items.update(latestKey(view.lineage), {
        expression: 'SET #view = :view, #seq = :seq, #job = :job, #number = :number, #at = :at',
        condition:
          'attribute_not_exists(pk) OR (#job = :job AND #number <= :number) OR (#job <> :job AND #at < :at)',
        values: {
          ':view': encoded.view,
          ':seq': view.seq,
          ':job': view.job,
          ':number': view.number,
          ':at': view.updatedAt,
        },
      });
    },

    async getVersion(versionId) {
      const item = await items.get(versionKey(versionId));
      return item && decodeView(versionView, item);
    },

    async listVersions(lineage) {
      const rows =
        lineage === undefined
          ? await items.list('versions')
          : await items.query(lineagePartition(lineage), 'version#');
      return rows.map((item) => decodeView(versionView, item));
    },

    async latestVersion(lineage) {
      const item = await items.get(latestKey(lineage));
      return item && decodeView(versionView, item);
    },
  };
}

/** Where a version stands in its lineage. */
export const placeKey = ({ lineage, number, job, round }: VersionView) => ({
  pk: lineagePartition(lineage),
  sk: `version#${ordinal(number)}#${job}#${ordinal(round)}`,
});
const lineagePartition = (lineage: string): string => `lineage#${lineage}`;
export const latestKey = (lineage: string) => ({ pk: lineagePartition(lineage), sk: 'latest' });
export const versionKey = (versionId: VersionId) => ({ pk: `version#${versionId}`, sk: 'version' });
