import { expect, test } from '@jest/globals';
import { Turns } from '#gpu-runner/turns.js';

const { signal } = new AbortController();

test('one task runs at a time, in the order in which they came', async () => {
  const turns = new Turns();
  const order: string[] = [];
  let running = 0;
  const work = async (name: string) => {
    const end = await turns.take(signal);
    expect(++running).toBe(1);
    order.push(name);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
    end();
  };
  await Promise.all(['a', 'b', 'c', 'd'].map(work));
  expect(order).toEqual(['a', 'b', 'c', 'd']);
});

test('a stack that always has another task cannot keep the others out', async () => {
  const turns = new Turns();
  const order: string[] = [];
  const greedy = async () => {
    for (let i = 0; i < 3; i++) {
      const end = await turns.take(signal);
      order.push('greedy');
      await new Promise((resolve) => setImmediate(resolve));
      end();
    }
  };
  const modest = async () => {
    const end = await turns.take(signal);
    order.push('modest');
    end();
  };
  await Promise.all([greedy(), modest()]);
  expect(order).toEqual(['greedy', 'modest', 'greedy', 'greedy']);
});

test('whoever is cancelled while waiting leaves the queue, and the next one comes', async () => {
  const turns = new Turns();
  const end = await turns.take(signal);
  const cancelled = new AbortController();
  const waiting = turns.take(cancelled.signal);
  const next = turns.take(signal);
  cancelled.abort(new Error('the round went on'));
  await expect(waiting).rejects.toThrow('the round went on');
  end();
  (await next)();
  (await turns.take(signal))();
  await expect(turns.take(AbortSignal.abort(new Error('too late')))).rejects.toThrow('too late');
});
