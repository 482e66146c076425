import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { openMeter } from '#trainer/run/energy.js';
import { until } from '../support/until.js';
import { temporaryFolder } from './parts.js';

const folder = temporaryFolder();

/** A package as Linux shows it. */
function counter(powercap: string, name: string, microjoules: number, range = 1e9): void {
  mkdirSync(join(powercap, name), { recursive: true });
  writeFileSync(join(powercap, name, 'energy_uj'), `${microjoules}\n`);
  writeFileSync(join(powercap, name, 'max_energy_range_uj'), `${range}\n`);
}

describe("the processors' counters", () => {
  test('are added up over packages, and what is part of a package is not counted twice', () => {
    const powercap = join(folder, 'two');
    for (const name of ['intel-rapl:0', 'intel-rapl:1', 'intel-rapl:0:0']) counter(powercap, name, 5e6);
    const meter = openMeter('cpu', powercap);
    expect(meter?.read()).toEqual({ joules: 0, source: 'rapl' });
    counter(powercap, 'intel-rapl:0', 7e6);
    counter(powercap, 'intel-rapl:1', 8e6);
    counter(powercap, 'intel-rapl:0:0', 9e6);
    expect(meter?.read().joules).toBeCloseTo(5, 9);
  });

  test('that begin anew go on', () => {
    const powercap = join(folder, 'around');
    counter(powercap, 'intel-rapl:0', 9e6, 1e7);
    const meter = openMeter('cpu', powercap);
    counter(powercap, 'intel-rapl:0', 2e6, 1e7);
    expect(meter?.read().joules).toBeCloseTo(3, 9);
  });

  test('that are not there give no figure', () => {
    expect(openMeter('cpu', join(folder, 'nowhere'))).toBeUndefined();
  });
});

describe('the power of a GPU', () => {
  const path = process.env['PATH'];
  afterEach(() => void (process.env['PATH'] = path));

  test('is summed over the samples that nvidia-smi prints', async () => {
    const program = join(folder, 'nvidia-smi');
    // Half a second each: 100 W, nothing said, 60 W.
    writeFileSync(program, "#!/bin/sh\nprintf '100.0\\n[N/A]\\n60.0\\n'\n");
    chmodSync(program, 0o755);
    process.env['PATH'] = `${folder}${delimiter}${path}`;
    const meter = openMeter('cuda');
    await until(() => (meter?.read().joules ?? 0) >= 80, 'both samples');
    expect(meter?.read()).toEqual({ joules: 80, source: 'nvidia-smi' });
    meter?.close();
  });

  test('is no hindrance where there is no nvidia-smi', async () => {
    process.env['PATH'] = join(folder, 'nowhere');
    const meter = openMeter('cuda');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(meter?.read().joules).toBe(0);
    meter?.close();
  });
});
