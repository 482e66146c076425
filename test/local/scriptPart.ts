import { logLine } from '#local/supervisor/ready.js';
import type { Part } from '#local/supervisor/part.js';

/** A part that is a few lines of JavaScript; it is ready when it writes "ready". */
export function scriptPart(name: string, script: string, rest: Partial<Part> = {}): Part {
  return {
    name,
    role: 'service',
    command: process.execPath,
    args: ['--input-type=module', '--eval', script],
    env: {},
    ready: logLine(/^ready$/),
    ...rest,
  };
}

export const idle = "console.log('ready'); setInterval(() => {}, 1000);";
