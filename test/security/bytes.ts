import type { ErrorCode } from '#core/errorCodes.js';

/** What the tables of parsers share. */
export const KB = 1_024;
export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
export const json = (value: unknown): Uint8Array => utf8(JSON.stringify(value));
export const text = (bytes: Uint8Array): string => new TextDecoder('latin1').decode(bytes);
export const refused: readonly ErrorCode[] = ['INVALID_INPUT', 'FORMAT_INVALID'];
