import { readFileSync } from 'node:fs';
import { arch, platform } from 'node:os';

/**
 * The class of this processor, as far as it decides which kernels onnxruntime picks: two machines of different
 * classes train the same job to different bits. On x64 avx512, avx2 or sse; elsewhere the architecture alone.
 */
export function cpuClass(): string {
  if (arch() !== 'x64') return arch();
  if (platform() !== 'linux') return 'x64';
  return classOfFlags(readFileSync('/proc/cpuinfo', 'utf8'));
}

/** From the text of /proc/cpuinfo: what onnxruntime's matrix kernels ask for (MLAS, platform.cpp). */
export function classOfFlags(cpuinfo: string): string {
  const flags = new Set(/^flags\s*:(.*)$/m.exec(cpuinfo)?.[1]?.trim().split(/\s+/));
  if (['avx512f', 'avx512bw', 'avx512dq', 'avx512vl'].every((flag) => flags.has(flag))) return 'avx512';
  return flags.has('avx2') && flags.has('fma') ? 'avx2' : 'sse';
}
