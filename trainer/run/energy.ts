import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Provider } from './device.js';

/** What a training used, as far as the machine tells. */
export interface Energy {
  readonly joules: number;
  /**
   * `rapl`: all processors of the machine, whoever used them (Linux powercap, readable by root on most systems).
   * `nvidia-smi`: the power of the first GPU, which NVML measures, summed over twice a second.
   */
  readonly source: 'rapl' | 'nvidia-smi';
}

export interface Meter {
  /** Since the meter was opened. */
  read(): Energy;
  close(): void;
}

/** A meter for what a training on this provider uses; undefined where nothing measures it. */
export function openMeter(provider: Provider, powercap = '/sys/class/powercap'): Meter | undefined {
  return provider === 'cpu' ? processorMeter(powercap) : provider === 'cuda' ? gpuMeter() : undefined;
}

/** Counters of the packages in microjoules, which start again at 0 after their range. */
function processorMeter(powercap: string): Meter | undefined {
  const counters = packages(powercap).flatMap((path) => {
    const [last, range] = [counterOf(join(path, 'energy_uj')), counterOf(join(path, 'max_energy_range_uj'))];
    return last === undefined ? [] : [{ path: join(path, 'energy_uj'), last, range: range ?? 0 }];
  });
  if (counters.length === 0) return undefined;
  let total = 0;
  return {
    read() {
      for (const counter of counters) {
        const now = counterOf(counter.path) ?? counter.last;
        total += now >= counter.last ? now - counter.last : now + counter.range - counter.last;
        counter.last = now;
      }
      return { joules: total / 1e6, source: 'rapl' };
    },
    close: () => undefined,
  };
}

/** Whole packages; what lies below them (intel-rapl:0:0, the cores) is part of them. */
function packages(powercap: string): string[] {
  try {
    const names = readdirSync(powercap).filter((name) => /^(intel|amd)-rapl:\d+$/.test(name));
    return names.map((name) => join(powercap, name));
  } catch {
    return [];
  }
}

function counterOf(path: string): number | undefined {
  try {
    const value = Number(readFileSync(path, 'utf8'));
    return Number.isFinite(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const everyMs = 500;
const tool = 'nvidia-smi';

function gpuMeter(): Meter | undefined {
  let joules = 0;
  let rest = '';
  const child: ChildProcess = spawn(
    tool,
    ['--id=0', '--query-gpu=power.draw', '--format=csv,noheader,nounits', `--loop-ms=${everyMs}`],
    { stdio: ['ignore', 'pipe', 'ignore'], env: { PATH: process.env['PATH'] } },
  );
  // Without nvidia-smi, or with a GPU that does not tell, nothing is counted.
  child.on('error', () => undefined);
  child.stdout?.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split('\n');
    rest = lines.pop() ?? '';
    for (const watts of lines.map(Number)) if (Number.isFinite(watts)) joules += (watts * everyMs) / 1000;
  });
  child.unref();
  return { read: () => ({ joules, source: tool }), close: () => void child.kill() };
}
