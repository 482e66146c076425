import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { IntentStore } from './intentBook.js';

/**
 * What was signed, in a folder of one's own machine: a folder a book, a file a line. A file appears whole or not at
 * all and is never written again, also when several processes write at once or one is killed.
 */
export function folderIntents(folder: string): IntentStore {
  const folderOf = (book: string) => join(folder, encodeURIComponent(book));
  const fileOf = (book: string, place: string) => join(folderOf(book), encodeURIComponent(place));

  async function places(book: string): Promise<string[]> {
    const names = await readdir(folderOf(book)).catch(missing([]));
    return names
      .filter((name) => !name.endsWith(unfinished))
      .map(decodeURIComponent)
      .sort((a, b) => (a < b ? -1 : 1));
  }

  return {
    async write(book, place, line) {
      await mkdir(folderOf(book), { recursive: true, mode: 0o700 });
      const file = fileOf(book, place);
      const draft = join(folderOf(book), `${randomUUID()}${unfinished}`);
      const handle = await open(draft, 'wx', 0o600);
      try {
        await handle.writeFile(line);
        await handle.sync();
      } finally {
        await handle.close();
      }
      try {
        await link(draft, file);
        return line;
      } catch (error) {
        if (!isCode(error, 'EEXIST')) throw error;
        return await readFile(file, 'utf8');
      } finally {
        await unlink(draft);
      }
    },
    async read(book, prefix) {
      const found = (await places(book)).filter((place) => place.startsWith(prefix));
      return Promise.all(found.map((place) => readFile(fileOf(book, place), 'utf8')));
    },
    last: async (book) => (await places(book)).at(-1) ?? null,
  };
}

const unfinished = '.draft';

function missing<T>(instead: T): (error: unknown) => T {
  return (error) => {
    if (isCode(error, 'ENOENT')) return instead;
    throw error;
  };
}

function isCode(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code;
}
