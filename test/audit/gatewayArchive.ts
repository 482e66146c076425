import type { Archive } from '#services/archive.js';
import type { HistoryArchive } from './memoryArchive.js';

/** A history's archive behind a gateway, where a stack's files are found by their tag. */
export const historyArchive = (archive: Archive): HistoryArchive => ({
  put: async (data, tags = {}) => (await archive.put(data, { 'App-Name': 'Roundtable', ...tags })).id,
  get: (id) => archive.get(id),
});
