import { expect, test } from '@jest/globals';
import { fuzz, inputs } from './fuzzing.js';
import { messageParsers } from './messageParsers.js';

/** One after the other in one process, with a hundred thousand inputs each (FUZZ_INPUTS asks for another number). */
test.each(await messageParsers())(
  '$name, changed in any way, is read or refused by name, in bounded time and memory',
  async (parser) => {
    await fuzz(parser);
    expect(inputs).toBeGreaterThan(0);
  },
  600_000,
);
