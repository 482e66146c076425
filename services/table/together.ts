import type { Item, Key } from './items.js';

/** Rows that are asked for in one turn of the event loop are read together: a request costs more than its rows. */
export function together(
  getOne: (key: Key) => Promise<Item | null>,
  getAll: (keys: readonly Key[]) => Promise<Item[]>,
): (key: Key) => Promise<Item | null> {
  let asked = new Map<string, Key>();
  let answer: Promise<ReadonlyMap<string, Item>> | undefined;
  const read = async (): Promise<ReadonlyMap<string, Item>> => {
    await new Promise((resolve) => setImmediate(resolve));
    const keys = [...asked.values()];
    asked = new Map();
    answer = undefined;
    const [only] = keys;
    const found = keys.length === 1 && only ? [await getOne(only)] : await getAll(keys);
    return new Map(found.flatMap((item) => (item ? [[nameOf(item), item]] : [])));
  };
  return async ({ pk, sk }) => {
    const name = nameOf({ pk, sk });
    asked.set(name, { pk, sk });
    answer ??= read();
    return (await answer).get(name) ?? null;
  };
}

const nameOf = ({ pk, sk }: Key): string => JSON.stringify([pk, sk]);
