/**
 * Training against PyTorch, in the same run and with the same threads, each shape and side in a process of its own.
 * Needs a Python with torch, onnx and onnxscript:
 * `BENCH_PYTHON=/path/to/python npm run bench -- train`. BENCH_SHAPES=lstm,cnn:50 takes some of the shapes,
 * BENCH_THREADS=1 some of the threads, BENCH_SECONDS=5 measures longer, BENCH_COMPILE=0 leaves torch.compile out.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Emit } from './main.js';
import type { Task } from './trainShape/main.js';

/** Samples in a second of the clock, and in one of the processor: the second counts on a machine that is busy with others. */
interface Rate {
  readonly wall: number;
  readonly cpu: number;
}

interface Torch extends Pick<Task, 'batch' | 'sample' | 'classes' | 'tokens'> {
  readonly model: string;
  /** By how PyTorch was used. */
  readonly rates: Record<string, Rate | null>;
  readonly peakBytes: number;
}

interface Ours {
  readonly rate: Rate;
  /** Of the model, before its gradients. */
  readonly nodes: number;
  readonly compileSeconds: number;
  readonly loadSeconds: number;
  readonly parameters: number;
  readonly plannedBytes: number;
  readonly peakBytes: number;
}

const shapes = ['2nn:10', '2nn:64', 'cnn:10', 'cnn:50', 'gpt:16', 'vit:32', 'lstm:32'];

export async function run(emit: Emit): Promise<void> {
  const python = process.env['BENCH_PYTHON'];
  if (python === undefined) {
    emit({ skipped: 'Set BENCH_PYTHON to a Python with torch, onnx and onnxscript.' });
    return;
  }
  const wanted = process.env['BENCH_SHAPES']?.split(',');
  const threads = (process.env['BENCH_THREADS'] ?? '1,2').split(',').map(Number);
  const seconds = Number(process.env['BENCH_SECONDS'] ?? 2);
  const compiled = process.env['BENCH_COMPILE'] ?? '1';
  const folder = mkdtempSync(join(tmpdir(), 'roundtable-bench-'));
  try {
    for (const shape of shapes) {
      const [model = '', batch = ''] = shape.split(':');
      if (wanted && !wanted.includes(shape) && !wanted.includes(model)) continue;
      for (const count of threads) {
        const torch = answer<Torch>(python, [
          'bench/train.py',
          folder,
          String(count),
          String(seconds),
          compiled,
          model,
          batch,
        ]);
        const task: Task = { ...torch, file: join(folder, `${model}.onnx`), threads: count, seconds };
        const child = fileURLToPath(new URL('./bench/trainShape.js', import.meta.url));
        emit(line(torch, answer<Ours>(process.execPath, [child, JSON.stringify(task)]), count));
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function line(torch: Torch, ours: Ours, threads: number): Record<string, unknown> {
  const kinds = Object.entries(torch.rates).flatMap(([kind, rate]) => (rate ? [{ kind, ...rate }] : []));
  const times = (by: keyof Rate) => ({
    eager: round(ours.rate[by] / (torch.rates['eager']?.[by] ?? NaN)),
    best: round(ours.rate[by] / Math.max(...kinds.map((rate) => rate[by]))),
  });
  return {
    model: torch.model,
    batch: torch.batch,
    threads,
    parameters: ours.parameters,
    samplesPerSecond: Math.round(ours.rate.wall),
    torch: Object.fromEntries(kinds.map(({ kind, wall }) => [kind, Math.round(wall)])),
    times: times('wall'),
    timesPerProcessorSecond: times('cpu'),
    nodes: ours.nodes,
    compileSeconds: round(ours.compileSeconds),
    loadSeconds: round(ours.loadSeconds),
    megabytes: {
      planned: megabytes(ours.plannedBytes),
      ours: megabytes(ours.peakBytes),
      torch: megabytes(torch.peakBytes),
    },
  };
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}

/** The last line that a program prints, as JSON. */
function answer<T>(program: string, args: string[]): T {
  const said = execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return JSON.parse(said.trim().split('\n').at(-1) ?? '') as T;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
