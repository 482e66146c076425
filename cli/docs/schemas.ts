import { z } from 'zod';
import { jobFile } from '#core/jobSpec.js';
import { policySchema } from '#gpu-runner/policy.js';

/** docs/job.schema.json: the form of job.yaml for editors (JSON Schema 2020-12). */
export const jobSchema = (): string => jsonSchema('A Roundtable job', jobFile);

/** docs/policy.schema.json: the same of a runner's policy.yaml. */
export const policyJsonSchema = (): string => jsonSchema("A runner's policy", policySchema);

function jsonSchema(title: string, form: z.ZodType): string {
  const { $schema, ...schema } = z.toJSONSchema(form, { io: 'input' });
  return `${JSON.stringify({ $schema, title, ...schema }, null, 2)}\n`;
}
