import { existsSync, watch } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname } from 'node:path';

/** Most of a log that is read for its last lines. */
const tailBytes = 1024 * 1024;

/** The last lines of a file. */
export async function lastLines(path: string, count: number): Promise<{ lines: string[]; end: number }> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const start = Math.max(0, size - tailBytes);
    const text = await readFrom(file, start, size - start);
    return { lines: text.replace(/\n$/, '').split('\n').slice(-count), end: size };
  } finally {
    await file.close();
  }
}

/**
 * Calls back with what is appended to a file from `from` on, until the signal aborts; goes on with the new file
 * when the old one was put aside.
 */
export async function follow(
  path: string,
  from: number,
  emit: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  let at = from;
  const changes = watch(dirname(path), { signal }).on('error', () => undefined);
  // Besides the watch: not every file system tells of changes.
  const again = setInterval(() => changes.emit('change', 'change', basename(path)), 500);
  const readMore = async () => {
    if (!existsSync(path)) return;
    const { size } = await stat(path);
    if (size < at) at = 0;
    if (size === at) return;
    const file = await open(path);
    try {
      emit(await readFrom(file, at, size - at));
      at = size;
    } finally {
      await file.close();
    }
  };
  try {
    let last = Promise.resolve();
    await new Promise<void>((resolve, reject) => {
      changes.on('change', () => void (last = last.then(readMore).catch(reject)));
      signal.addEventListener('abort', () => resolve(), { once: true });
      if (signal.aborted) resolve();
    });
    await last;
  } finally {
    clearInterval(again);
    changes.close();
  }
}

async function readFrom(file: FileHandle, position: number, length: number): Promise<string> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await file.read(buffer, 0, length, position);
  return buffer.subarray(0, bytesRead).toString('utf8');
}
