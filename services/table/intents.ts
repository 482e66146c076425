import { z } from 'zod';
import type { IntentStore } from '../intentBook.js';
import type { Items } from './items.js';

/** What was signed, stored before it is sent; never expired, since a reorganisation may need it again. */
export function intentTable(items: Items): IntentStore {
  return {
    async write(book, place, text) {
      const { created, existing } = await items.create({ pk: partition(book), sk: place, line: text });
      return created ? text : line(existing);
    },
    read: async (book, prefix) => (await items.query(partition(book), prefix)).map(line),
    last: async (book) => (await items.last(partition(book)))?.sk ?? null,
  };
}

const partition = (book: string) => `intent#${book}`;
const stored = z.object({ line: z.string() });
const line = (item: unknown) => stored.parse(item).line;
