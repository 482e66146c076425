import type { Terminal } from '../terminal/terminal.js';
import type { StackEvent } from './events.js';
import { lastingLines, liveRegion } from './live.js';
import { plainLines } from './plain.js';
import { Region } from './region.js';
import { initialState, reduce } from './state.js';

export const progressModes = ['auto', 'plain', 'json', 'quiet'] as const;
export type ProgressMode = (typeof progressModes)[number];

/** Shows events as they come. `close` leaves the terminal tidy and may be called twice. */
export interface Progress {
  emit(event: StackEvent): void;
  close(): void;
}

/** `auto` is the live view on a terminal that can redraw, and plain lines in CI, pipes and dumb terminals. */
export function openProgress(mode: ProgressMode, terminal: Terminal): Progress {
  if (mode === 'quiet') return { emit: () => undefined, close: () => undefined };
  if (mode === 'json') return jsonProgress(terminal);
  return mode === 'auto' && terminal.canRedraw ? liveProgress(terminal) : plainProgress(terminal);
}

export function openRegion(terminal: Terminal): Region {
  return new Region(
    (text) => terminal.write(text),
    () => ({ rows: terminal.rows(), columns: terminal.theme().columns }),
  );
}

const redrawMilliseconds = 120;

function liveProgress(terminal: Terminal): Progress {
  const region = openRegion(terminal);
  let state = initialState;
  const draw = (lines: readonly string[]) =>
    region.draw(lines, liveRegion(terminal.theme(), state, Date.now()));
  const timer = setInterval(() => draw([]), redrawMilliseconds);
  timer.unref();
  return {
    emit(event) {
      const lines = lastingLines(terminal.theme(), event, state);
      state = reduce(state, event, Date.now());
      draw(lines);
    },
    close() {
      clearInterval(timer);
      region.clear();
    },
  };
}

function plainProgress(terminal: Terminal): Progress {
  let state = initialState;
  const said = new Set<string>();
  return {
    emit(event) {
      const lines = plainLines(event, state, said);
      state = reduce(state, event, Date.now());
      for (const line of lines) terminal.write(`${line}\n`);
    },
    close: () => undefined,
  };
}

function jsonProgress(terminal: Terminal): Progress {
  return {
    emit: (event) => terminal.write(JSON.stringify({ at: new Date().toISOString(), ...event }) + '\n'),
    close: () => undefined,
  };
}
