import { expect, test } from '@jest/globals';
import { checkWindow, networkOf, networks, networkSettings } from '#services/chain/networks.js';

test('a chain that nobody knows is refused with what is needed to describe it', () => {
  expect(() => networkOf(999_999)).toThrow(
    expect.objectContaining({ code: 'CHAIN_UNKNOWN', message: expect.stringContaining('CHAIN_NETWORK') }),
  );
  expect(() => networkOf(999_999, { name: 'Mine', confirmations: 2 })).toThrow(
    expect.objectContaining({ code: 'CHAIN_UNKNOWN' }),
  );
});

test('a chain can be described, and what the table says of one can be changed', () => {
  const own = networkSettings.parse({
    name: 'Mine',
    confirmations: 2,
    reorgDepth: 20,
    blockSeconds: 1,
    minWindowSeconds: 0,
    maxFeePerGas: '1000000000',
    maxCost: '1000000000000000',
  });
  expect(networkOf(999_999, own)).toEqual({ ...own, explorer: null });
  expect(networkOf(8453, { maxCost: 7n })).toEqual({ ...networks[8453], maxCost: 7n });
});

test('every chain with something at stake has a window longer than its sequencer can keep a report out', () => {
  const forcedAfter: Record<number, number> = { 10: 43_200, 8453: 43_200, 42161: 86_400 };
  for (const [id, seconds] of Object.entries(forcedAfter)) {
    const network = networkOf(Number(id));
    expect(network.minWindowSeconds).toBeGreaterThan(seconds);
    expect(network.reorgDepth).toBeGreaterThan(network.confirmations);
    expect(() => checkWindow(network, seconds)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }));
    expect(() => checkWindow(network, network.minWindowSeconds)).not.toThrow();
  }
});
