import { metrics, noMetrics, type Metrics } from './metrics.js';

/** Where CloudWatch keeps our metrics. */
const namespace = 'Roundtable';

/**
 * Metrics of a Lambda: lines of its log from which CloudWatch takes the figures by itself, so that a function needs
 * neither a call nor a permission for them. Outside Lambda nobody would read them, and none are written.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */
export function openFunctionMetrics(
  write: (line: string) => void = (line) => void process.stdout.write(line),
): Metrics {
  if (process.env['AWS_LAMBDA_FUNCTION_NAME'] === undefined) return noMetrics;
  return {
    record: (name, labels, value = metrics[name].kind === 'count' ? 1 : 0) =>
      write(
        `${JSON.stringify({
          _aws: {
            Timestamp: Date.now(),
            CloudWatchMetrics: [
              {
                Namespace: namespace,
                Dimensions: [[...metrics[name].labels]],
                Metrics: [{ Name: name, Unit: metrics[name].kind === 'count' ? 'Count' : 'Seconds' }],
              },
            ],
          },
          ...labels,
          [name]: value,
        })}\n`,
      ),
  };
}
