import { InvalidArgumentError } from 'commander';

/** @throws InvalidArgumentError */
export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('A number is expected.');
  return value;
}

/** Patterns with commas between them. */
export function list(text: string): string[] {
  return text.split(',').flatMap((part) => (part.trim() === '' ? [] : [part.trim()]));
}

/** `pattern=share`, given once or more often. */
export function rates(text: string, before: Record<string, number> = {}): Record<string, number> {
  const at = text.lastIndexOf('=');
  if (at < 1) throw new InvalidArgumentError('A pattern and a share are expected, such as /fc1/*=0.5.');
  return { ...before, [text.slice(0, at)]: number(text.slice(at + 1)) };
}
