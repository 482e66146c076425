import type { z } from 'zod';
import { RoundtableError } from '#core/errors.js';
import { parseMessage } from '#core/schema.js';
import type { Item } from './items.js';

/**
 * Views are kept as JSON text: DynamoDB's numbers have other limits than ours (a loss of 1e200 is one), and what
 * is read is parsed by its schema in any case. Only what conditions and indexes need are attributes.
 */
export const encodeView = (view: unknown): string => JSON.stringify(view);

/** The view in a row, with attributes that others own laid over it. */
export function decodeView<T extends z.ZodType>(
  schema: T,
  item: Item,
  overlay: Record<string, unknown> = {},
): z.output<T> {
  try {
    const view = JSON.parse(String(item['view'])) as object;
    return parseMessage(schema, { ...view, ...overlay }, `Row ${item.pk}/${item.sk}`);
  } catch (error) {
    throw new RoundtableError(
      'INTERNAL',
      `Row ${item.pk}/${item.sk} of the table does not have the form that this version writes: ${String(error)}`,
      { cause: error },
    );
  }
}
