/**
 * The environment of parts on one machine. Parts are given exactly this and what is their own, never the
 * person's whole environment: a real AWS key lying there must not reach an emulator, nor the other way round.
 */

/** What any program needs to run at all. */
const inherited = [
  'PATH',
  'HOME',
  'TMPDIR',
  'TZ',
  'LANG',
  'LC_ALL',
  'LD_LIBRARY_PATH',
  'SSL_CERT_FILE',
  'NODE_EXTRA_CA_CERTS',
  // Where traces go, if anywhere; OpenTelemetry's own variables.
  'OTEL_EXPORTER_OTLP_ENDPOINT',
  'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
  'OTEL_EXPORTER_OTLP_HEADERS',
  'OTEL_RESOURCE_ATTRIBUTES',
];

export function baseEnvironment(from: NodeJS.ProcessEnv = process.env): Record<string, string> {
  const env: Record<string, string> = { NO_COLOR: '1' };
  for (const name of inherited) {
    const value = from[name];
    if (value !== undefined) env[name] = value;
  }
  return env;
}

export const localRegion = 'us-east-1';

/** s3rver knows this one key pair and checks signatures with it; the other emulators take any. */
export const localCredentials = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' } as const;

/** Sends every AWS client of a process to the emulators on 127.0.0.1. */
export function awsEnvironment(ports: {
  dynamodb: number;
  s3: number;
  sqs: number;
  lambda?: number;
}): Record<string, string> {
  return {
    AWS_REGION: localRegion,
    AWS_ACCESS_KEY_ID: localCredentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: localCredentials.secretAccessKey,
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_ENDPOINT_URL_DYNAMODB: `http://127.0.0.1:${ports.dynamodb}`,
    AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${ports.s3}`,
    AWS_ENDPOINT_URL_SQS: `http://127.0.0.1:${ports.sqs}`,
    ...(ports.lambda === undefined ? {} : { AWS_ENDPOINT_URL_LAMBDA: `http://127.0.0.1:${ports.lambda}` }),
  };
}
