/** Reads job.yaml and the files it names, and reports every mistake at once with its path and line. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { isMap, isScalar, isSeq, type Document, type LineCounter } from 'yaml';
import { describeShapes } from '#core/dataShape.js';
import { RoundtableError } from '#core/errors.js';
import { jobFile, type JobFile } from '#core/jobSpec.js';
import { readYaml } from '#services/yamlFile.js';
import { readModel } from '#trainer/model.js';
import { checkModelData } from '#trainer/modelData.js';
import { parseDataset, shapeOf } from '#trainer/run/files.js';
import { wholeModelFile } from '#trainer/run/modelFile.js';
import { checkTrainable } from '#trainer/trainable.js';
import { whatIsTrained } from '#trainer/trained.js';

export interface JobSource {
  job: JobFile;
  /** The ONNX file, with whatever it keeps in files beside it. */
  model: Uint8Array;
  /** Held-out data (safetensors x, y), if the job names some. */
  evaluation: Uint8Array | null;
  /** Folder of job.yaml, to which its paths are relative. */
  folder: string;
}

export interface Mistake {
  /** Such as `training.optimizer.lr`; `(top)` for the file as a whole. */
  path: string;
  line: number | null;
  message: string;
}

/**
 * @throws JOB_INVALID with `details.mistakes` for the job file; the trainer's MODEL_… errors for the model;
 * INVALID_INPUT, FORMAT_INVALID or MODEL_SHAPE_MISMATCH for held-out data that does not meet the job
 */
export function readJobFile(path: string): JobSource {
  const { document, lines, mistakes: formal } = readYaml(readText(path));
  if (formal.length > 0)
    throw invalid(
      path,
      formal.map((mistake) => ({ path: '(top)', ...mistake })),
    );
  const parsed = jobFile.safeParse(document.toJS());
  const folder = dirname(resolve(path));
  const issues = parsed.success ? [] : parsed.error.issues.flatMap(flatten);
  const mistakes = [
    ...issues.map(({ path: at, message }) => ({
      path: at.join('.') || '(top)',
      line: lineOf(document, lines, at),
      message,
    })),
    ...missingFiles(document.toJS(), folder).map(({ key, message }) => ({
      path: key,
      line: lineOf(document, lines, [key]),
      message,
    })),
  ];
  if (mistakes.length > 0 || !parsed.success) throw invalid(path, mistakes);
  return readNamedFiles(parsed.data, folder);
}

function readNamedFiles(job: JobFile, folder: string): JobSource {
  const { loss, ignoredLabel } = job.training;
  const file = wholeModelFile(resolve(folder, job.model));
  const model = readModel(file, whatIsTrained(job.training));
  checkTrainable(model, job.training, job.data);
  if (job.evaluation === null) return { job, model: file, evaluation: null, folder };
  const evaluation = new Uint8Array(readFileSync(resolve(folder, job.evaluation)));
  const held = parseDataset(evaluation, job.evaluation, {
    loss,
    ...(ignoredLabel === undefined ? {} : { ignoredLabel }),
  });
  const { input, ...rest } = shapeOf(held);
  const [given, wanted] = [Object.fromEntries(input instanceof Map ? input : [['', input]]), job.data.input];
  if (describeShapes({ input: given[''] ?? given }) !== describeShapes({ input: wanted }))
    throw new RoundtableError(
      'INVALID_INPUT',
      `The samples of ${job.evaluation} have the shape ${describeShapes({ input: given[''] ?? given })}, and the job's data.input is ${describeShapes({ input: wanted })}.`,
    );
  checkModelData(model, { input, ...rest }, loss);
  return { job, model: file, evaluation, folder };
}

/** Paths that do not lead to a file, found even where other things in the job file are wrong. */
function missingFiles(value: unknown, folder: string): { key: string; message: string }[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, path]) =>
    (key === 'model' || key === 'evaluation') &&
    typeof path === 'string' &&
    !existsSync(resolve(folder, path))
      ? [{ key, message: `there is no file ${path} (paths are relative to the job file)` }]
      : [],
  );
}

interface Issue {
  path: PropertyKey[];
  message: string;
  code?: string | undefined;
  keys?: string[];
  /** Of a union: what each of its forms finds wrong. */
  errors?: Issue[][];
}

/** One mistake for each key that is not known, at that key; of a union those of the form that comes nearest. */
function flatten(issue: Issue): { path: string[]; message: string }[] {
  const path = issue.path.map(String);
  if (issue.code === 'invalid_union' && issue.errors && issue.errors.length > 0) {
    const depth = (issues: Issue[]) => Math.max(0, ...issues.map((inner) => inner.path.length));
    const deepest = Math.max(...issue.errors.map(depth));
    const nearest = issue.errors.find((issues) => depth(issues) === deepest) ?? [];
    return nearest.flatMap((inner) => flatten({ ...inner, path: [...issue.path, ...inner.path] }));
  }
  if (issue.code === 'unrecognized_keys' && issue.keys)
    return issue.keys.map((key) => ({ path: [...path, key], message: 'there is no setting of this name' }));
  return [{ path, message: issue.message }];
}

/** Line of the node at a path, or of the nearest one above it when it is absent. */
function lineOf(document: Document, lines: LineCounter, path: readonly string[]): number | null {
  let line: number | null = null;
  let node: unknown = document.contents;
  for (const key of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === key);
      if (!pair) return line;
      if (isScalar(pair.key) && pair.key.range) line = lines.linePos(pair.key.range[0]).line;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(key)];
      if (isScalar(node) && node.range) line = lines.linePos(node.range[0]).line;
    } else return line;
  }
  return line;
}

function invalid(path: string, mistakes: readonly Mistake[]): RoundtableError {
  const sorted = [...mistakes].sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
  const listed = sorted.map(
    (mistake) =>
      `  ${mistake.line === null ? '' : `line ${mistake.line}, `}${mistake.path}: ${mistake.message}`,
  );
  const number = mistakes.length === 1 ? '1 mistake' : `${mistakes.length} mistakes`;
  return new RoundtableError('JOB_INVALID', `${path} has ${number}:\n${listed.join('\n')}`, {
    details: { mistakes: sorted },
  });
}

function readText(path: string): string {
  if (!existsSync(path)) throw new RoundtableError('NOT_FOUND', `There is no job file ${path}.`);
  return readFileSync(path, 'utf8');
}
