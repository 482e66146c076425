import { expect, test } from '@jest/globals';
import { fuzz, inputs, type Parser } from './fuzzing.js';
import { fileParsers } from './fileParsers.js';

/** One after the other in one process, with a hundred thousand inputs each (FUZZ_INPUTS asks for another number). */
test.each(await fileParsers())(
  '$name, changed in any way, is read or refused by name, in bounded time and memory',
  async (parser) => {
    await fuzz(parser);
    expect(inputs).toBeGreaterThan(0);
  },
  600_000,
);

test('the fuzzing itself finds a parser that trusts a number of its input', async () => {
  const trusting: Parser = {
    name: 'a trusting parser',
    examples: () => [Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3)],
    parse: (bytes) =>
      new Uint8Array(Number(new DataView(Uint8Array.from(bytes).buffer).getBigUint64(0, true))),
    codes: ['FORMAT_INVALID'],
    cap: 100,
  };
  await expect(fuzz(trusting)).rejects.toMatchObject({
    cause: expect.objectContaining({ message: expect.stringContaining('a trusting parser') }),
  });
});
