import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { UpdateSource } from '#audit/index.js';
import type { StackFile } from '#local/stackFile.js';
import { UsageError, type Context } from '../command.js';
import { firstOf, openWith, updatesAt, updatesIn, updatesOfStack } from './updates.js';

/**
 * Updates from what was named, what is saved beside an offline record, the runners of this stack, and the stack itself.
 * Folders are read once: open it again for what came later.
 * @param keys X25519 private keys that open what is sealed
 * @throws UsageError for a folder that is not there
 */
export function updateSourceOf(
  context: Context,
  stack: StackFile | null,
  options: { updates?: string[]; offline?: string },
  keys: readonly Uint8Array[],
): UpdateSource {
  const named = options.updates ?? [];
  const urls = named.filter((place) => /^https?:/.test(place));
  const folders = named
    .filter((place) => !urls.includes(place))
    .map((place) => {
      const folder = resolve(context.folder, place);
      if (!existsSync(folder)) throw new UsageError(`There is no folder ${folder} with updates.`);
      return folder;
    });
  const saved = options.offline === undefined ? [] : [resolve(context.folder, options.offline, 'updates')];
  const works = (stack?.runners ?? []).map(({ home }) => join(home, 'work'));
  const open = openWith(keys);
  return firstOf([
    updatesIn([...folders, ...saved, ...works], open),
    ...urls.map((url) => updatesAt(url, open)),
    ...(stack && keys.length > 0 ? [updatesOfStack(context.api(), open)] : []),
  ]);
}
