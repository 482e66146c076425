import { z } from 'zod';
import { jobFile } from '#core/jobSpec.js';

/** docs/job.schema.json: the form of job.yaml for editors (JSON Schema 2020-12). */
export function jobSchema(): string {
  const { $schema, ...schema } = z.toJSONSchema(jobFile, { io: 'input' });
  return `${JSON.stringify({ $schema, title: 'A Roundtable job', ...schema }, null, 2)}\n`;
}
